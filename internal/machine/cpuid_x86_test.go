package machine

import (
	"testing"

	"github.com/husk-vm/husk/internal/hv"
)

// host is what a back end might support: an AMD CPU with its own ideas of topology.
func host() []hv.CPUIDEntry {
	return []hv.CPUIDEntry{
		{Leaf: 0, EAX: 0x10, EBX: 0x68747541, ECX: 0x444d4163, EDX: 0x69746e65},
		{Leaf: leafFeatures, EBX: 0x7F20_0B00, ECX: ecxVMX | ecxPDCM, EDX: edxHTT},
		{Leaf: leafPower, EAX: eaxTurbo | 4, ECX: ecxEPB | 1},
		{Leaf: leafExtended, HasSubleaf: true, ECX: ecxWAITPKG | 1, EDX: edxAMX | 1},
		{Leaf: leafPMU, EAX: 7},
		{Leaf: leafTopology, HasSubleaf: true, EAX: 5, EDX: 99},
		{Leaf: leafAMDFeature, ECX: ecxSVM},
		{Leaf: leafAMDSizes, EAX: 0x3030, ECX: 0xFFFF},
		{Leaf: leafAMDCache, Subleaf: 0, HasSubleaf: true, EAX: 1 | 1<<5 | 0x3F<<14},
		{Leaf: leafAMDCache, Subleaf: 3, HasSubleaf: true, EAX: 3 | 3<<5 | 0x3F<<14},
		{Leaf: leafAMDCache, Subleaf: 4, HasSubleaf: true},
		{Leaf: leafAMDNode, EAX: 99, EBX: 0x107, ECX: 0x301},
	}
}

func find(t *testing.T, entries []hv.CPUIDEntry, leaf, sub uint32) hv.CPUIDEntry {
	t.Helper()
	var found []hv.CPUIDEntry
	for _, e := range entries {
		if e.Leaf == leaf && e.Subleaf == sub {
			found = append(found, e)
		}
	}
	if len(found) != 1 {
		t.Fatalf("leaf %#x.%d stands %d times", leaf, sub, len(found))
	}
	return found[0]
}

func TestGuestCPUIDTopology(t *testing.T) {
	for _, n := range []int{1, 2, 3, 4, 8, 254} {
		for _, id := range []int{0, n - 1} {
			got := guestCPUID(host(), id, n)
			f := find(t, got, leafFeatures, 0)
			if f.EBX>>24 != uint32(id) {
				t.Errorf("%d of %d: initial APIC ID %d", id, n, f.EBX>>24)
			}
			if ids := int(f.EBX >> 16 & 0xFF); ids < n || ids >= 2*n && n < 128 {
				t.Errorf("%d of %d: %d logical processor IDs", id, n, ids)
			}
			if htt := f.EDX&edxHTT != 0; htt != (n > 1) {
				t.Errorf("%d of %d: HTT is %v", id, n, htt)
			}
			for _, leaf := range []uint32{leafTopology} {
				smt, core := find(t, got, leaf, 0), find(t, got, leaf, 1)
				if smt.EBX != 1 || smt.EAX != 0 || core.EBX != uint32(n) || core.EDX != uint32(id) {
					t.Errorf("%d of %d: leaf %#x: %+v %+v", id, n, leaf, smt, core)
				}
				// The shift must leave the package number: 0 for all.
				if uint32(id)>>core.EAX != 0 {
					t.Errorf("%d of %d: in package %d", id, n, uint32(id)>>core.EAX)
				}
			}
			if s := find(t, got, leafAMDSizes, 0); int(s.ECX&0xFF) != n-1 {
				t.Errorf("%d of %d: %d cores less one", id, n, s.ECX&0xFF)
			}
			if l1 := find(t, got, leafAMDCache, 0); l1.EAX>>14&0xFFF != 0 {
				t.Errorf("%d of %d: first-level cache shared by %d", id, n, l1.EAX>>14&0xFFF+1)
			}
			if l3 := find(t, got, leafAMDCache, 3); int(l3.EAX>>14&0xFFF)+1 < n {
				t.Errorf("%d of %d: third-level cache shared by %d", id, n, l3.EAX>>14&0xFFF+1)
			}
			if node := find(t, got, leafAMDNode, 0); node.EAX != uint32(id) || node.EBX&0xFF != uint32(id) {
				t.Errorf("%d of %d: node leaf %+v", id, n, node)
			}
		}
	}
}

func TestGuestCPUIDHides(t *testing.T) {
	got := guestCPUID(host(), 0, 1)
	f := find(t, got, leafFeatures, 0)
	if f.ECX&(ecxVMX|ecxPDCM) != 0 || f.ECX&ecxHypervisor == 0 {
		t.Errorf("leaf 1 ECX %#x", f.ECX)
	}
	if e := find(t, got, leafPower, 0); e.EAX != 4 || e.ECX != 1 {
		t.Errorf("leaf 6 %+v", e)
	}
	if e := find(t, got, leafExtended, 0); e.ECX != 1 || e.EDX != 1 {
		t.Errorf("leaf 7 %+v", e)
	}
	if e := find(t, got, leafPMU, 0); e.EAX != 0 {
		t.Errorf("leaf 0xA %+v", e)
	}
	if e := find(t, got, leafAMDFeature, 0); e.ECX != ecxTopologyExt {
		t.Errorf("leaf 8000_0001 %+v", e)
	}
	if e := find(t, got, leafAMDSizes, 0); e.EAX != 0x3030 {
		t.Errorf("address sizes were changed: %#x", e.EAX)
	}
}

func TestGuestCPUIDLeavesInputAlone(t *testing.T) {
	in := host()
	guestCPUID(in, 1, 4)
	for i, e := range host() {
		if in[i] != e {
			t.Errorf("entry %d changed: %+v", i, in[i])
		}
	}
}
