package linux

import (
	"bytes"
	"testing"
	"time"
)

// FuzzParse parses any file and plans what it can on machines of any shape. Whatever is planned keeps checkPlan's
// promises; nothing takes a second.
func FuzzParse(f *testing.F) {
	for _, file := range [][]byte{
		bzFile(), vmlinux(), pvhLinux(),
		bzFile(set8(offRelocatable, 0)), bzFile(set64(offPrefAddress, fourGiB)),
		bzFile()[:0x280], vmlinux()[:200],
		{0x1f, 0x8b},
		[]byte("text"),
	} {
		f.Add(file, uint16(64), uint16(0), uint32(4096), uint32(18<<8), uint8(0), "console=hvc0")
		f.Add(file, uint16(3072), uint16(1024), uint32(100<<20), uint32(0), uint8(1), "")
	}
	f.Fuzz(func(t *testing.T, file []byte, lowMiB, highMiB uint16, initrd, reserved uint32, prefer uint8, cmdline string) {
		start := time.Now()
		defer func() {
			if d := time.Since(start); d > time.Second {
				t.Errorf("took %v", d)
			}
		}()
		k, err := Parse(bytes.NewReader(file))
		if err != nil {
			return
		}
		p := Params{
			RAM: []Region{{0, uint64(lowMiB%3072+1) * mib}}, Entry: Preference(prefer % 3), Cmdline: cmdline, RSDP: 0xe0000,
			Reserved: []MemRange{{Region{0xe0000000, mib}, MemReserved}},
		}
		if highMiB > 0 {
			p.RAM = append(p.RAM, Region{fourGiB, uint64(highMiB) * mib})
		}
		if reserved > 0 { // in pages, anywhere in low RAM
			p.Reserved = append(p.Reserved, MemRange{Region{uint64(reserved%(768<<10)) * page, page}, MemNVS})
		}
		if initrd > 0 {
			p.Initrd = sparse(int64(initrd))
		}
		plan, err := k.Plan(p)
		if err != nil {
			return
		}
		checkPlan(t, k, &p, plan)
	})
}
