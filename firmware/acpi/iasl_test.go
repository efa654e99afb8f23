package acpi

import (
	"bytes"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite golden files")

// TestIASL has ACPICA check every table: the golden text must compile to exactly the bytes that Build makes, and so must
// what iasl itself reads in those bytes, both without a word of complaint. Texts are not compared, for their form
// depends on iasl's version.
func TestIASL(t *testing.T) {
	if _, err := exec.LookPath("iasl"); err != nil {
		t.Skip("needs iasl (package acpica-tools): ", err)
	}
	for _, tt := range []struct {
		name string
		desc Desc
	}{{"micro", microDesc()}, {"bare", bareDesc()}} {
		tables, err := Build(tt.desc)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range tables.Placements[1:] { // iasl does not read an RSDP
			t.Run(tt.name+"/"+p.Name, func(t *testing.T) {
				want := bytes.Clone(p.Data)
				blank(want)
				text := disassemble(t, p.Data)
				if got := compile(t, text); !bytes.Equal(got, want) {
					t.Errorf("iasl reads something else in it:\n% x\nbuilt:\n% x\ntext:\n%s", got, want, text)
				}
				file := filepath.Join("testdata", tt.name+"_"+strings.ToLower(p.Name)+".dsl")
				if *update {
					if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
						t.Fatal(err)
					}
				}
				golden, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(compile(t, string(golden)), want) {
					t.Errorf("not what %s says; built:\n%s", file, text)
				}
			})
		}
	}
}

// TestMethods has ACPICA's interpreter run the control methods.
func TestMethods(t *testing.T) {
	if _, err := exec.LookPath("acpiexec"); err != nil {
		t.Skip("needs acpiexec (package acpica-tools): ", err)
	}
	tables, err := Build(microDesc())
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, p := range tables.Placements {
		if err := os.WriteFile(filepath.Join(dir, p.Name), p.Data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const (
		osc   = "5B4DDB33F71F1C4096577441C03DD766"
		dsm   = "D037C9E553357A4D9117EA4D19C3434D"
		other = "00112233445566778899AABBCCDDEEFF"
	)
	calls := []struct{ name, call, want string }{
		{"power-off is sleep type 5", `\_S5_`, "[Integer] = 0000000000000005"},
		{"_OSC query, all wanted", `\_SB.PCI0._OSC (` + osc + `) 1 3 (010000001F0000001F000000)`, "11 00 00 00 1F 00 00 00 1D 00 00 00"},
		{"_OSC request, granted", `\_SB.PCI0._OSC (` + osc + `) 1 3 (000000001F0000001D000000)`, "00 00 00 00 1F 00 00 00 1D 00 00 00"},
		{"_OSC, unknown revision", `\_SB.PCI0._OSC (` + osc + `) 2 3 (000000001F0000001D000000)`, "08 00 00 00 1F 00 00 00 1D 00 00 00"},
		{"_OSC, unknown UUID", `\_SB.PCI0._OSC (` + other + `) 1 3 (000000001F0000001D000000)`, "04 00 00 00 1F 00 00 00 1D 00 00 00"},
		{"_DSM lists its functions", `\_SB.PCI0._DSM (` + dsm + `) 1 0 [0]`, "[Buffer] Length 01 =     0000: 21"},
		{"_DSM keeps BARs", `\_SB.PCI0._DSM (` + dsm + `) 1 5 [0]`, "[Integer] = 0000000000000000"},
		{"_DSM, unknown function", `\_SB.PCI0._DSM (` + dsm + `) 1 4 [0]`, "[Buffer] Length 01 =     0000: 00"},
		{"_DSM, unknown UUID", `\_SB.PCI0._DSM (` + other + `) 1 5 [0]`, "[Buffer] Length 01 =     0000: 00"},
		{"event", `\_SB.GED._EVT 9`, "No object was returned"},
	}
	// One run for all, for acpiexec takes a second to end.
	var script strings.Builder
	for _, tt := range calls {
		script.WriteString("evaluate " + tt.call + ";")
	}
	cmd := exec.Command("acpiexec", "-b", script.String(), "DSDT")
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	answers := strings.Split(string(out), "\nEvaluating ")[1:]
	if err != nil || len(answers) != len(calls) {
		t.Fatalf("acpiexec: %v, %d answers to %d calls\n%s", err, len(answers), len(calls), out)
	}
	for i, tt := range calls {
		if !strings.Contains(answers[i], tt.want) || strings.Contains(answers[i], "ACPI Error") {
			t.Errorf("%s: %s: want %q in\n%s", tt.name, tt.call, tt.want, answers[i])
		}
	}
}

// blank clears what the compiler puts its own values in: the creator and with it the checksum.
func blank(table []byte) {
	table[headerChecksum] = 0
	clear(table[headerCreator:headerSize])
}

// disassemble returns iasl's text for table, without comments, which contain names and dates.
func disassemble(t *testing.T, table []byte) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "table.dat"), table, 0o600); err != nil {
		t.Fatal(err)
	}
	iasl(t, dir, "-d", "table.dat")
	b, err := os.ReadFile(filepath.Join(dir, "table.dsl"))
	if err != nil {
		t.Fatal(err)
	}
	text := regexp.MustCompile(`(?s)/\*.*?\*/`).ReplaceAllString(string(b), "")
	text, _, _ = strings.Cut(text, "Raw Table Data") // a dump, which repeats creator and checksum
	text = regexp.MustCompile(`DefinitionBlock \("[^"]*"`).ReplaceAllString(text, `DefinitionBlock (""`)
	text = regexp.MustCompile(`[ \t]+\n`).ReplaceAllString(text, "\n")
	return strings.Trim(regexp.MustCompile(`\n{3,}`).ReplaceAllString(text, "\n\n"), "\n") + "\n"
}

// compile returns the table that iasl makes of text, blanked.
func compile(t *testing.T, text string) []byte {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "table.dsl"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	out := iasl(t, dir, "-on", "-p", "again", "table.dsl") // -on: leave names as long as they are
	if !strings.Contains(out, "0 Errors, 0 Warnings, 0 Remarks") {
		t.Errorf("iasl complains:\n%s", out)
	}
	b, err := os.ReadFile(filepath.Join(dir, "again.aml"))
	if err != nil {
		t.Fatal(err)
	}
	blank(b)
	return b
}

func iasl(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command("iasl", args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("iasl %v: %v\n%s", args, err, out)
	}
	return string(out)
}
