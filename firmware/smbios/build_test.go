package smbios

import (
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite golden files")

const gib = 1 << 30

// fullDesc uses everything.
func fullDesc() Desc {
	return Desc{
		Manufacturer: "Maker", Product: "Husk VM", Version: "v1", Serial: "S-1", SKU: "sku", Family: "family",
		UUID: [16]byte{0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff},
		OEM:  []string{"io.systemd.credential:a=b", "two"},
		CPUs: 4,
		RAM:  []Window{{0, 3 * gib}, {4 * gib, 5 * gib}},
		Area: Window{LegacyBase, LegacySize},
	}
}

// bareDesc is the least there can be.
func bareDesc() Desc { return Desc{CPUs: 1, Area: Window{LegacyBase, LegacySize}} }

// hugeDesc has numbers that do not fit the older fields.
func hugeDesc() Desc {
	d := bareDesc()
	d.CPUs = 300
	d.RAM = []Window{{0, 3 * gib}, {4 * gib, 6 << 40}}
	return d
}

func TestGolden(t *testing.T) {
	for _, tt := range []struct {
		name string
		desc Desc
	}{{"full", fullDesc()}, {"bare", bareDesc()}, {"huge", hugeDesc()}} {
		t.Run(tt.name, func(t *testing.T) {
			ps, err := Build(tt.desc)
			if err != nil {
				t.Fatal(err)
			}
			got, file := dump(ps, decode(t, ps)), filepath.Join("testdata", tt.name+".txt")
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("not what %s says; got\n%s", file, got)
			}
		})
	}
}

// TestFields reads back what a guest asks for.
func TestFields(t *testing.T) {
	ps, err := Build(fullDesc())
	if err != nil {
		t.Fatal(err)
	}
	ds := decode(t, ps)
	byType := map[byte]decoded{}
	for _, d := range ds {
		byType[d.kind] = d
	}
	for off, want := range map[int]string{4: "Maker", 5: "Husk VM", 6: "v1", 7: "S-1", 0x19: "sku", 0x1a: "family"} {
		if got := byType[1].text(t, off); got != want {
			t.Errorf("type 1, field %#x: %q, want %q", off, got, want)
		}
	}
	wantUUID := []byte{0x33, 0x22, 0x11, 0x00, 0x55, 0x44, 0x77, 0x66, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff}
	if got := byType[1].fields[8:24]; !slices.Equal(got, wantUUID) {
		t.Errorf("UUID % x", got)
	}
	if got := byType[11]; got.fields[4] != 2 || !slices.Equal(got.strings, fullDesc().OEM) {
		t.Errorf("OEM strings %q", got.strings)
	}
	seen := map[uint16]bool{}
	for _, d := range ds {
		if seen[d.handle] {
			t.Errorf("handle %#x twice", d.handle)
		}
		seen[d.handle] = true
	}
}

func TestBuildRefuses(t *testing.T) {
	long := strings.Repeat("x", maxString)
	for _, tt := range []struct {
		name   string
		change func(*Desc)
		want   error
		text   string
	}{
		{"no CPU", func(d *Desc) { d.CPUs = 0 }, ErrBadDesc, "0 CPUs"},
		{"too many CPUs", func(d *Desc) { d.CPUs = 65535 }, ErrBadDesc, "65535 CPUs"},
		{"NUL in a string", func(d *Desc) { d.Serial = "a\x00b" }, ErrBadDesc, "NUL"},
		{"string too long", func(d *Desc) { d.Family = long + "x" }, ErrBadDesc, "16385 bytes"},
		{"empty OEM string", func(d *Desc) { d.OEM = []string{"a", ""} }, ErrBadDesc, "OEM string 2 is empty"},
		{"too many OEM strings", func(d *Desc) { d.OEM = make([]string, 256) }, ErrBadDesc, "256 OEM strings"},
		{"RAM below a KiB", func(d *Desc) { d.RAM = []Window{{0, 1000}} }, ErrBadDesc, "whole KiB"},
		{"empty RAM", func(d *Desc) { d.RAM = []Window{{}} }, ErrBadDesc, "empty"},
		{"RAM wraps", func(d *Desc) { d.RAM = []Window{{1 << 63, 1 << 63}} }, ErrBadDesc, "above the address space"},
		{"too much RAM", func(d *Desc) { d.RAM = make([]Window, 17) }, ErrBadDesc, "17 RAM ranges"},
		{"no area", func(d *Desc) { d.Area = Window{} }, ErrBadDesc, "empty"},
		{"strings fill the area", func(d *Desc) { d.OEM = []string{long, long, long, long} }, ErrNoRoom, "over the end"},
		{"area too small by one", func(d *Desc) { d.Area.Size = used(t, *d) - 1 }, ErrNoRoom, "1 bytes over"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := fullDesc()
			tt.change(&d)
			_, err := Build(d)
			if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("Build: %v, want %v with %q", err, tt.want, tt.text)
			}
		})
	}
}

// used is how many bytes of its area d fills.
func used(t *testing.T, d Desc) uint64 {
	t.Helper()
	ps, err := Build(d)
	if err != nil {
		t.Fatal(err)
	}
	return ps[1].Addr + uint64(len(ps[1].Data)) - d.Area.Base
}

func TestBuildFitsExactly(t *testing.T) {
	d := fullDesc()
	d.Area.Size = used(t, d)
	if _, err := Build(d); err != nil {
		t.Error(err)
	}
}

// FuzzBuild puts any text into the tables and wants it back.
func FuzzBuild(f *testing.F) {
	f.Add("Husk", "oem", "second", uint16(2), uint64(1<<20))
	f.Add("", "\xff", "a", uint16(255), uint64(1<<42))
	f.Fuzz(func(t *testing.T, product, oem1, oem2 string, cpus uint16, ram uint64) {
		d := Desc{Product: product, OEM: []string{oem1, oem2}, CPUs: int(cpus), RAM: []Window{{0, ram}}, Area: Window{LegacyBase, LegacySize}}
		ps, err := Build(d)
		if err != nil {
			return
		}
		ds := decode(t, ps)
		if got := ds[1].text(t, 5); got != product {
			t.Errorf("product %q, want %q", got, product)
		}
		if i := slices.IndexFunc(ds, func(d decoded) bool { return d.kind == 11 }); !slices.Equal(ds[i].strings, d.OEM) {
			t.Errorf("OEM strings %q, want %q", ds[i].strings, d.OEM)
		}
		for _, p := range ps {
			if p.Addr < LegacyBase || p.Addr+uint64(len(p.Data)) > LegacyBase+LegacySize {
				t.Errorf("%s at %#x, %d bytes", p.Name, p.Addr, len(p.Data))
			}
		}
	})
}

// TestDmidecode has the program that people use read the tables.
func TestDmidecode(t *testing.T) {
	if _, err := exec.LookPath("dmidecode"); err != nil {
		t.Skip("needs dmidecode: ", err)
	}
	// dmidecode's dump format: the entry point, then the structures at 32, where the entry point says they are.
	ps, err := Build(fullDesc())
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "dump")
	img := make([]byte, 32, 32+len(ps[1].Data))
	copy(img, entryPoint(32, len(ps[1].Data)))
	if err := os.WriteFile(file, append(img, ps[1].Data...), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("dmidecode", "--from-dump", file).CombinedOutput()
	if err != nil {
		t.Fatalf("dmidecode: %v\n%s", err, out)
	}
	for _, want := range []string{
		"SMBIOS 3.0.0 present", "Manufacturer: Maker", "Product Name: Husk VM", "Serial Number: S-1",
		"UUID: 00112233-4455-6677-8899-aabbccddeeff", "SKU Number: sku", "Family: family", "System is a virtual machine",
		"String 1: io.systemd.credential:a=b", "String 2: two", "Core Count: 4", "Maximum Capacity: 8 GB", "Size: 8 GB",
		"Range Size: 3 GB", "Range Size: 5 GB", "Status: No errors detected", "End Of Table",
	} {
		if !strings.Contains(string(out), want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	for _, bad := range []string{"OUT OF SPEC", "BROKEN", "truncated", "TRUNCATED", "Wrong", "Invalid"} {
		if strings.Contains(string(out), bad) {
			t.Errorf("%q in\n%s", bad, out)
		}
	}
}
