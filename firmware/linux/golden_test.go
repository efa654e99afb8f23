package linux

import (
	"bytes"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite golden files")

// TestPlanGolden shows whole plans: where things go, the registers, and the bytes that are not zero.
func TestPlanGolden(t *testing.T) {
	for _, tt := range []struct {
		name   string
		file   []byte
		prefer Preference
	}{
		{"bzimage", bzFile(), EntryAuto},
		{"vmlinux", pvhLinux(), Entry64},
		{"pvh", pvhLinux(), EntryPVH},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := machine4G()
			p.Entry, p.Initrd, p.Seed = tt.prefer, sparse(3*page+5), []byte("seed")
			got, file := dumpPlan(mustPlan(t, mustParse(t, tt.file), p)), filepath.Join("testdata", tt.name+".txt")
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

func dumpPlan(plan *Plan) string {
	var b strings.Builder
	e := plan.Entry
	fmt.Fprintf(&b, "kernel %v initrd %v\n\nmode %d rip %#x rsp %#x rsi %#x rbx %#x rflags %#x\ncr0 %#x cr3 %#x cr4 %#x efer %#x gdt %#x+%#x\n",
		plan.Kernel, plan.Initrd, e.Mode, e.RIP, e.RSP, e.RSI, e.RBX, e.RFLAGS, e.CR0, e.CR3, e.CR4, e.EFER, e.GDTBase, e.GDTLimit)
	fmt.Fprintf(&b, "cs %+v\nds %+v\ntr %+v\n\n", e.CS, e.DS, e.TR)
	for _, r := range plan.Map {
		fmt.Fprintf(&b, "memory %v type %d\n", r.Region, r.Type)
	}
	for _, s := range plan.Segments {
		fmt.Fprintf(&b, "\n%s %v", s.Name, s.Region())
		if s.Source != nil {
			fmt.Fprintf(&b, ": %d bytes of the file from %d on, %d zeros\n", s.Len, s.Off, s.Zero)
			continue
		}
		b.WriteByte('\n')
		for off := 0; off < len(s.Data); off += 16 {
			line := s.Data[off:min(off+16, len(s.Data))]
			switch {
			case len(bytes.Trim(line, "\x00")) == 0:
			case s.Name == "page tables" && off > 7*8 && off%page != 0: // TestPlan* walk them
			default:
				fmt.Fprintf(&b, "  %04x  %s\n", off, strings.TrimSpace(hex.EncodeToString(line)))
			}
		}
	}
	return b.String()
}
