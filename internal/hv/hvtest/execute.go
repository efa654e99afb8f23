package hvtest

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/husk-vm/husk/internal/hv"
)

func testProbe(t *testing.T, b hv.Backend) {
	r := b.Probe(t.Context())
	t.Logf("%s: %+v", b.Name(), r)
	if r.Usable && (r.KernelRate <= 0 || r.UserRate <= 0 || r.Setup <= 0) {
		t.Error("usable, but not measured")
	}
	if !r.Usable && r.Reason == "" {
		t.Error("not usable, and no reason given")
	}
	if strings.Contains(r.Reason, "\n") {
		t.Errorf("reason is more than one line: %q", r.Reason)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if r := b.Probe(ctx); r.Usable || r.Reason == "" {
		t.Errorf("cancelled before it began: %+v", r)
	}
	ctx, cancel = context.WithTimeout(t.Context(), time.Millisecond) // in the middle, unless the back end is faster
	defer cancel()
	if r := b.Probe(ctx); !r.Usable && r.Reason == "" || strings.Contains(r.Reason, "\n") {
		t.Errorf("cancelled in the middle: %+v", r)
	}
}

func testModes(t *testing.T, b hv.Backend) {
	t.Run("real", func(t *testing.T) {
		g := newGuest(t, b, 1, realPorts)
		v := g.vcpu(0)
		g.enter(v, realMode, codeAt)
		for _, want := range []struct {
			port uint64
			size int
			val  uint64
		}{{portShow, 1, 0x42}, {portCOM, 2, 0x1234}, {portCOM, 4, 0xdead_beef}} {
			if got := g.wantOut(v, want.port, want.size); got != want.val {
				t.Errorf("port %#x: %#x, want %#x", want.port, got, want.val)
			}
		}
		g.answerIn(v, portDone, 1, 0x99)
		if got := g.wantOut(v, portShow, 1); got != 0x99 {
			t.Errorf("guest read %#x, want 0x99", got)
		}
	})
	t.Run("protected", func(t *testing.T) {
		g := newGuest(t, b, 1, protectedPorts)
		v := g.vcpu(0)
		g.enter(v, protectedMode, codeAt)
		if got := g.wantOut(v, 0x1234, 4); got != 0xcafe_f00d {
			t.Errorf("%#x", got)
		}
		if got := g.wantOut(v, portShow, 1); got != 0x77 || g.read(dataAt, 1)[0] != 0x77 {
			t.Errorf("guest's memory: %#x, ours: %#x, want 0x77", got, g.read(dataAt, 1))
		}
	})
	t.Run("user", func(t *testing.T) {
		g := newGuest(t, b, 1, userMode)
		v := g.vcpu(0)
		g.enter(v, longUserMode, codeAt)
		if got := g.wantOut(v, portDone, 1); got != 0x5a {
			t.Errorf("%#x", got)
		}
		if r := g.regs(v); r.CS.Selector&3 != 3 || r.CS.DPL != 3 || r.SS.DPL != 3 {
			t.Errorf("privilege: cs %+v, ss %+v", r.CS, r.SS)
		}
	})
}

func testException(t *testing.T, b hv.Backend) {
	for _, tt := range []struct {
		name    string
		program []byte
		vector  uint64
		cr2     uint64
	}{
		{"undefined instruction", ud2, 6, 0},
		{"page fault", pageFault, 14, 0x8000_0123},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := newGuest(t, b, 1, tt.program)
			v := g.vcpu(0)
			g.enter(v, longMode, codeAt)
			if got := g.wantOut(v, portIRQ, 1); got != tt.vector {
				t.Errorf("vector %d, want %d", got, tt.vector)
			}
			if r := g.regs(v); r.CR2 != tt.cr2 {
				t.Errorf("cr2 %#x, want %#x", r.CR2, tt.cr2)
			}
		})
	}
}

func testTripleFault(t *testing.T, b hv.Backend) {
	g := newGuest(t, b, 1, ud2)
	v := g.vcpu(0)
	g.enter(v, func(r *hv.X86Regs) {
		longMode(r)
		r.IDT = hv.X86Table{} // neither #UD nor #DF finds a handler [SDM vol. 3A §6.15, #DF]
	}, codeAt)
	g.want(v, hv.ExitReset)
}

// testExchange16 is the instruction that instruction emulators leave out: kernels have it in their lists of free memory.
func testExchange16(t *testing.T, b hv.Backend) {
	g := newGuest(t, b, 1, exchange16)
	g.write(dataAt, []byte{0x11, 0x11, 0x11, 0x11, 0, 0, 0, 0, 0x22, 0x22, 0x22, 0x22, 0, 0, 0, 0})
	v := g.vcpu(0)
	g.enter(v, longMode, codeAt)
	if got := g.wantOut(v, portShow, 1); got != 1 {
		t.Errorf("equal, but not exchanged: al %#x", got)
	}
	want := []byte{0x33, 0x33, 0x33, 0x33, 0, 0, 0, 0, 0x44, 0x44, 0x44, 0x44, 0, 0, 0, 0}
	if got := g.read(dataAt, 16); !bytes.Equal(got, want) {
		t.Errorf("memory % x, want % x", got, want)
	}
	g.wantOut(v, portDone, 1)
	// Not equal: the registers get what is there [SDM vol. 2A, CMPXCHG16B].
	if r := g.regs(v); r.RAX != 0x3333_3333 || r.RDX != 0x4444_4444 || r.RCX != 0x4444_4400 {
		t.Errorf("rax %#x, rdx %#x, rcx %#x", r.RAX, r.RDX, r.RCX)
	}
}

func testLongLoop(t *testing.T, b hv.Backend) {
	g := newGuest(t, b, 1, longLoop)
	v := g.vcpu(0)
	g.enter(v, longMode, codeAt)
	g.wantOut(v, portDone, 1)
	if r := g.regs(v); r.RCX != 0 {
		t.Errorf("rcx %#x", r.RCX)
	}
}

func testTwoVMs(t *testing.T, b hv.Backend) {
	var guests [2]*guest
	var vcpus [2]hv.X86VCPU
	for i := range guests {
		guests[i] = newGuest(t, b, 1, countUp)
		guests[i].write(dataAt, []byte{byte(0x40 * i)})
		vcpus[i] = guests[i].vcpu(0)
		guests[i].enter(vcpus[i], longMode, codeAt)
	}
	for turn := range 32 {
		for i, g := range guests {
			if got, want := g.wantOut(vcpus[i], portShow, 1), uint64(0x40*i+turn); got != want {
				t.Fatalf("turn %d of vm %d: %#x, want %#x", turn, i, got, want)
			}
		}
	}
}

func testRefusals(t *testing.T, b hv.Backend) {
	g := newGuest(t, b, 1, spin)
	for _, id := range []int{-1, 1} {
		if v, err := g.vm.NewVCPU(id); err == nil {
			t.Errorf("vcpu %d of 1 was made", id)
			_ = v.Close()
		}
	}
	for _, n := range []int{0, -1, 1 << 20} {
		if vm, err := b.NewVM(g.mem, hv.Config{CPUs: n}); err == nil {
			t.Errorf("a vm of %d vcpus was made", n)
			_ = vm.Close()
		}
	}
	v := g.vcpu(0)
	if err := g.vm.Close(); err == nil {
		t.Error("a vm was closed around its vcpu")
	}
	if err := v.Close(); err != nil {
		t.Error(err)
	}
	if err := v.Close(); err != nil {
		t.Errorf("second close: %v", err)
	}
}
