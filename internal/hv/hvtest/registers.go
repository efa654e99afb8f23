package hvtest

import (
	"strings"
	"testing"

	"github.com/husk-vm/husk/internal/hv"
)

// testRegisters sets all registers, reads them back, and reads them again after an instruction.
func testRegisters(t *testing.T, b hv.Backend) {
	g := newGuest(t, b, 1, userMode) // mov eax, 0x5a; out
	v := g.vcpu(0)
	var want hv.X86Regs
	if err := v.Regs(&want); err != nil {
		t.Fatal(err)
	}
	longMode(&want)
	for i, r := range []*uint64{
		&want.RAX, &want.RBX, &want.RCX, &want.RDX, &want.RSI, &want.RDI, &want.RBP, &want.RSP,
		&want.R8, &want.R9, &want.R10, &want.R11, &want.R12, &want.R13, &want.R14, &want.R15,
	} {
		*r = 0x1111_1111_0000_0000*uint64(i%15+1) + uint64(i)
	}
	want.RIP = codeAt
	want.RFLAGS = flagOne | 1<<0 | 1<<6 // carry and zero
	want.CR2 = 0xdead_0000
	want.CR8 = 5
	want.FS.Base, want.GS.Base = 0x7fff_0000_1000, 0xffff_8000_0000_2000
	if err := v.SetRegs(&want); err != nil {
		t.Fatal(err)
	}
	compare := func(when string) {
		t.Helper()
		var got hv.X86Regs
		if err := v.Regs(&got); err != nil {
			t.Fatal(err)
		}
		// The unused parts of hidden registers are the back end's to choose; the parts that act are compared.
		for _, r := range []*hv.X86Regs{&got, &want} {
			for _, s := range []*hv.X86Segment{&r.DS, &r.ES, &r.FS, &r.GS, &r.SS, &r.LDT, &r.TR} {
				*s = hv.X86Segment{Base: s.Base, Selector: s.Selector, Limit: s.Limit, DPL: s.DPL}
			}
		}
		if got != want {
			t.Errorf("%s:\n got %+v\nwant %+v", when, got, want)
		}
	}
	compare("after setting")
	g.wantOut(v, portDone, 1)
	want.RAX = 0x5a
	want.RIP = codeAt + 7
	if err := v.Settle(); err != nil {
		t.Fatal(err)
	}
	compare("after two instructions")
}

func testCPUID(t *testing.T, b hv.Backend) {
	g := newGuest(t, b, 1, cpuidProg)
	v := g.vcpu(0)
	leaves := []hv.CPUIDEntry{{Leaf: 0x4000_0000, EAX: 0x4000_0001, EBX: 0x6b73_7548, ECX: 0x1234_5678, EDX: 0x9abc_def0}}
	if x, ok := b.(hv.X86Backend); ok {
		supported, err := x.SupportedCPUID()
		if err != nil {
			t.Fatal(err)
		}
		if len(supported) < 10 {
			t.Errorf("only %d leaves are supported", len(supported))
		}
		for _, l := range supported {
			if l.Leaf>>16 != 0x4000 {
				leaves = append(leaves, l)
			}
		}
	}
	if err := v.SetCPUID(leaves); err != nil {
		t.Fatal(err)
	}
	g.enter(v, longMode, codeAt)
	g.wantOut(v, portDone, 1)
	r := g.regs(v)
	if r.RAX != 0x4000_0001 || r.RBX != 0x6b73_7548 || r.RCX != 0x1234_5678 || r.RDX != 0x9abc_def0 {
		t.Errorf("guest saw %#x %#x %#x %#x", r.RAX, r.RBX, r.RCX, r.RDX)
	}
}

func testMSRs(t *testing.T, b hv.Backend) {
	const star, lstar, kernelGSBase = 0xc000_0081, 0xc000_0082, 0xc000_0102 // [SDM vol. 4 §2.1]
	g := newGuest(t, b, 1, msrProg)
	v := g.vcpu(0)
	g.enter(v, longMode, codeAt)
	set := []hv.MSREntry{{Index: star, Value: 0x0023_0010_0000_0000}, {Index: kernelGSBase, Value: 0x0000_7fff_1234_5678}}
	if err := v.SetMSRs(set); err != nil {
		t.Fatal(err)
	}
	g.wantOut(v, portDone, 1)
	if r := g.regs(v); r.RSI != 0x1234_5678 || r.RDI != 0x7fff {
		t.Errorf("guest read %#x:%#x", r.RDI, r.RSI)
	}
	got := []hv.MSREntry{{Index: lstar}, {Index: star}, {Index: kernelGSBase}}
	if err := v.MSRs(got); err != nil {
		t.Fatal(err)
	}
	for i, want := range []uint64{0x4567_89ab_cdef, set[0].Value, set[1].Value} { // all canonical [SDM vol. 1 §3.3.7.1]
		if got[i].Value != want {
			t.Errorf("msr %#x: %#x, want %#x", got[i].Index, got[i].Value, want)
		}
	}
	// One that no CPU has, behind a good one: the good one is set, the bad one named.
	bad := []hv.MSREntry{{Index: star, Value: 0x0033_0020_0000_0000}, {Index: 0x4d5a_0bad, Value: 1}}
	if err := v.SetMSRs(bad); err == nil || !strings.Contains(err.Error(), "0x4d5a0bad") {
		t.Errorf("setting an msr that is not there: %v", err)
	}
	if err := v.MSRs(got[1:2]); err != nil || got[1].Value != bad[0].Value {
		t.Errorf("the msr before the refused one: %#x, %v", got[1].Value, err)
	}
	if err := v.MSRs([]hv.MSREntry{{Index: 0x4d5a_0bad}}); err == nil || !strings.Contains(err.Error(), "0x4d5a0bad") {
		t.Errorf("reading an msr that is not there: %v", err)
	}
}
