package linux

import "testing"

// TestLayout shows that the boot structures do not overlap, and leave the kernel what it needs.
func TestLayout(t *testing.T) {
	parts := []struct {
		name string
		Region
	}{
		{"real-mode vectors and BIOS data area", Region{0, 0x500}},
		{"GDT", Region{gdtBase, gdtSize}},
		{"PVH start info", Region{pvhBase, pvhSize}},
		{"zero page", Region{zeroPageBase, zeroPageSize}},
		{"stack", Region{stackBase, stackSize}},
		{"page tables", Region{pageTableBase, pageTableSize}},
		{"command line", Region{cmdlineBase, cmdlineSize}},
		{"setup data", Region{setupDataBase, setupDataSize}},
		{"legacy area", Region{legacyBase, legacyEnd - legacyBase}},
		{"high memory", Region{highBase, gib}},
	}
	for i, p := range parts {
		if i > 0 && p.Base < parts[i-1].End() {
			t.Errorf("%s %v begins in %s %v", p.name, p.Region, parts[i-1].name, parts[i-1].Region)
		}
	}
	for _, a := range []uint64{pvhBase, zeroPageBase, stackBase, pageTableBase, cmdlineBase, setupDataBase} {
		if a%page != 0 {
			t.Errorf("%#x is not page-aligned", a)
		}
	}
	// Linux wants its real-mode code and SMP trampoline below 1 MiB, some 0x8000 bytes (linux arch/x86/realmode/init.c).
	if free := legacyBase - lowEnd; free < 0x60000 {
		t.Errorf("%#x bytes are left below the legacy area", free)
	}
	if pvhStructMax > pvhSize {
		t.Errorf("PVH structures have %d bytes", pvhStructMax)
	}
	if setupDataHeader+seedMax > setupDataSize {
		t.Error("the seed is larger than its page")
	}
	if zpE820Table+e820Max*e820Size > zeroPageSize {
		t.Error("the memory map is larger than the zero page")
	}
}
