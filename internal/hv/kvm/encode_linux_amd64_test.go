package kvm

import (
	"encoding/hex"
	"slices"
	"strings"
	"testing"

	"github.com/husk-vm/husk/internal/hv"
)

// The goldens are the bytes on a little-endian machine, 16 a line.
func wantHex(t *testing.T, got []byte, want string) {
	t.Helper()
	if text := hex.EncodeToString(got); text != strings.Join(strings.Fields(want), "") {
		t.Errorf("%s", hex.Dump(got))
	}
}

func TestEncodeCPUID(t *testing.T) {
	in := []hv.CPUIDEntry{
		{Leaf: 1, EAX: 0x11, EBX: 0x22, ECX: 0x33, EDX: 0x44},
		{Leaf: 0x8000_001d, Subleaf: 3, HasSubleaf: true, EAX: 5, EBX: 6, ECX: 7, EDX: 8},
	}
	b := encodeCPUID(in)
	wantHex(t, b, `
		02000000 00000000
		01000000 00000000 00000000 11000000 22000000 33000000 44000000 00000000 00000000 00000000
		1d000080 03000000 01000000 05000000 06000000 07000000 08000000 00000000 00000000 00000000`)
	out, err := decodeCPUID(b)
	if err != nil || !slices.Equal(in, out) {
		t.Errorf("%+v, %v", out, err)
	}
	if _, err := decodeCPUID(b[:len(b)-1]); err == nil {
		t.Error("more entries than bytes")
	}
	if out, err := decodeCPUID(encodeCPUID(nil)); err != nil || len(out) != 0 {
		t.Errorf("nothing: %v, %v", out, err)
	}
}

func TestEncodeMSRs(t *testing.T) {
	wantHex(t, encodeMSRs([]hv.MSREntry{{Index: 0xc000_0080, Value: 0x1122_3344_5566_7788}, {Index: 0x10}}), `
		02000000 00000000
		800000c0 00000000 88776655 44332211
		10000000 00000000 00000000 00000000`)
}

func TestEncodeRoutes(t *testing.T) {
	var a archVM
	var pins [ioapicPins]hv.MSIRoute
	pins[2] = hv.MSIRoute{Addr: 0xfee0_1000, Data: 0xc041}
	pins[7] = hv.MSIRoute{Addr: 0x1000, Data: 1} // no interrupt address: nothing to end
	pins[23] = hv.MSIRoute{Addr: 0xfee0_0000, Data: 0x31}
	wantHex(t, a.encodeRoutes(&pins), `
		02000000 00000000
		02000000 02000000 00000000 00000000 0010e0fe 00000000 41c00000 00000000 00000000 00000000 00000000 00000000
		17000000 02000000 00000000 00000000 0000e0fe 00000000 31000000 00000000 00000000 00000000 00000000 00000000`)
}

func TestMessage(t *testing.T) {
	for _, tt := range []struct {
		name     string
		wide     bool
		addr     uint64
		lo, hi   uint32
		isAnIntr bool
	}{
		{"processor 5", false, 0xfee0_5000, 0xfee0_5000, 0, true},
		{"reserved bits stay", false, 0xfee0_5fe0, 0xfee0_5fe0, 0, true},
		{"wide, processor 5", true, 0xfee0_5000, 0xfee0_5000, 0, true},
		{"wide, processor 0x105", true, 0xfee0_5020, 0xfee0_5000, 0x100, true},
		{"wide, processor 0x7f05", true, 0xfee0_5fe4, 0xfee0_5004, 0x7f00, true},
		{"above 4 GiB", false, 0x1_fee0_0000, 0, 0, false},
		{"memory", false, 0xfed0_0000, 0, 0, false},
		{"behind", false, 0xfef0_0000, 0, 0, false},
		{"nothing", false, 0, 0, 0, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if isMSIAddress(tt.addr) != tt.isAnIntr {
				t.Errorf("%#x is an interrupt address: %v", tt.addr, !tt.isAnIntr)
			}
			a := archVM{wideIDs: tt.wide}
			if m := a.message(tt.addr, 7); tt.isAnIntr && (m.addressLo != tt.lo || m.addressHi != tt.hi || m.data != 7) {
				t.Errorf("%+v", m)
			}
		})
	}
}

func TestSegmentsRoundTrip(t *testing.T) {
	all := hv.X86Segment{Base: 1 << 63, Limit: 0xffff_ffff, Selector: 0x33, Type: 0xb, DPL: 3, Present: true, DB: true, S: true, L: true, G: true, AVL: true, Unusable: true}
	for i, s := range []hv.X86Segment{{}, all, {Present: true}, {DB: true}, {S: true}, {L: true}, {G: true}, {AVL: true}, {Unusable: true}} {
		k := encode(s)
		if got := k.decode(); got != s {
			t.Errorf("%d: %+v, want %+v", i, got, s)
		}
	}
}
