package kvm

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/husk-vm/husk/internal/guestmem"
	"github.com/husk-vm/husk/internal/hostos"
	"github.com/husk-vm/husk/internal/hv"
)

// runToPort runs the probe's loop to its end.
func runToPort(t *testing.T, v *VCPU, turns uint64) {
	t.Helper()
	regs := probeRegs(kernelMode, turns)
	if err := v.SetRegs(&regs); err != nil {
		t.Fatal(err)
	}
	var exit hv.Exit
	if err := v.Run(&exit); err != nil || exit.Kind != hv.ExitPort || exit.Addr != probePort {
		t.Fatalf("%+v, %v", exit, err)
	}
}

// TestImmediateExitKeepsTheReason pins what Run relies on: with the flag set KVM_RUN returns EINTR, each time, and the
// page still holds the exit before. Decoding it would execute that exit twice.
func TestImmediateExitKeepsTheReason(t *testing.T) {
	_, v := testVM(t)
	runToPort(t, v, 1)
	v.page.armExit()
	for range 3 {
		if _, err := ioctl(v.fd, runVCPU, 0); err != unix.EINTR {
			t.Fatalf("KVM_RUN: %v, want EINTR", err)
		}
		if r := v.page.reason(); r != exitIO {
			t.Fatalf("reason %d, want the old one, %d", r, exitIO)
		}
	}
	v.page.disarmExit()
	if v.page[0] != 0 || v.page[1] != 0 {
		t.Errorf("flags % x", v.page[:8])
	}
	var exit hv.Exit
	v.Kick()
	if err := v.Run(&exit); err != nil || exit.Kind != hv.ExitKicked || exit.Data != nil {
		t.Errorf("%+v, %v; the old exit must not come back", exit, err)
	}
}

// TestStraySignalsAreNobodysBusiness: signals that are no kicks do not end Run.
func TestStraySignalsAreNobodysBusiness(t *testing.T) {
	_, v := testVM(t)
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for tick := time.NewTicker(100 * time.Microsecond); ; {
			select {
			case <-tick.C:
				v.thread.Kick()
			case <-stop:
				tick.Stop()
				return
			}
		}
	}()
	for range 50 {
		runToPort(t, v, 500)
		if err := v.Settle(); err != nil {
			t.Error(err)
		}
	}
	close(stop)
	<-done
}

// TestIoctlOnAMovingStack: the kernel's answer must reach a variable on a stack that grew on the way to the call.
func TestIoctlOnAMovingStack(t *testing.T) {
	_, v := testVM(t)
	regs := probeRegs(kernelMode, 0x1234_5678_9abc)
	if err := v.SetRegs(&regs); err != nil {
		t.Fatal(err)
	}
	for range 50 {
		rcx := make(chan uint64)
		go func() { rcx <- deepRead(v.fd, 0) }() // a new stack, small; Regs of a vCPU at rest may be read from anywhere
		if got := <-rcx; got != 0x1234_5678_9abc {
			t.Fatalf("rcx %#x", got)
		}
	}
}

//go:noinline
func deepRead(fd int, depth int) uint64 {
	var r regs
	if depth < 3 {
		var frame [32 << 10]byte
		frame[depth] = byte(depth)
		return deepRead(fd, depth+1+int(frame[depth+1]))
	}
	if _, err := ioctlWith(fd, getRegs, &r); err != nil {
		return 0
	}
	return r.rcx
}

func TestClockStandsStill(t *testing.T) {
	vm, v := testVM(t)
	runToPort(t, v, 1)
	now := func() time.Duration {
		var d clockData
		if _, err := callWith(vm.fd, getClock, &d); err != nil {
			t.Fatal(err)
		}
		return time.Duration(d.clock)
	}
	const pause = 50 * time.Millisecond
	before := now()
	mustNil(t, vm.PauseClock())
	for start := time.Now(); time.Since(start) < pause; {
	}
	if went := now() - before; went < pause {
		t.Fatalf("the kernel's clock went %v in %v: this test shows nothing", went, pause)
	}
	mustNil(t, vm.ResumeClock())
	if went := now() - before; went < 0 || went >= pause {
		t.Errorf("the guest's clock went %v, %v of that in the pause", went, pause)
	}
}

func TestNewVMRefuses(t *testing.T) {
	testVM(t) // or skip
	for _, r := range []guestmem.Region{
		{Base: hv.X86ReservedBase, Size: 0x1000},
		{Base: hv.X86ReservedBase - 0x1000, Size: 0x2000},
		{Base: hv.X86ReservedBase + guestmem.GPA(hv.X86ReservedSize) - 0x1000, Size: 0x1000},
	} {
		mem, err := guestmem.New([]guestmem.Region{r})
		if err != nil {
			t.Fatal(err)
		}
		if vm, err := New().NewVM(mem, hv.Config{CPUs: 1}); err == nil || !strings.Contains(err.Error(), "kept for the hypervisor") {
			t.Errorf("region %v: %v", r, err)
			if err == nil {
				vm.Close()
			}
		}
		mustNil(t, mem.Close())
		if vm, err := New().NewVM(mem, hv.Config{CPUs: 1}); err == nil {
			t.Error("a vm around closed memory")
			vm.Close()
		}
	}
	for _, base := range []guestmem.GPA{hv.X86ReservedBase - 0x1000, hv.X86ReservedBase + guestmem.GPA(hv.X86ReservedSize)} {
		mem, err := guestmem.New([]guestmem.Region{{Base: base, Size: 0x1000}})
		if err != nil {
			t.Fatal(err)
		}
		vm, err := New().NewVM(mem, hv.Config{CPUs: 1})
		if err != nil {
			t.Errorf("beside the reserved pages: %v", err)
		} else {
			mustNil(t, vm.Close())
		}
		mustNil(t, mem.Close())
	}
}

func TestMissingCapabilityIsNamed(t *testing.T) {
	sys, err := New().open()
	if err != nil {
		t.Skip(err)
	}
	defer sys.Close()
	err = checkNeeds(sys, commonNeeds, archNeeds, []needed{{0x7fff, "KVM_CAP_OF_THE_FUTURE"}})
	if !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), "lacks KVM_CAP_OF_THE_FUTURE") {
		t.Errorf("%v", err)
	}
}

// TestManyCPUs makes a VM whose processor numbers do not fit eight bits.
func TestManyCPUs(t *testing.T) {
	testVM(t)
	mem, err := guestmem.New([]guestmem.Region{{Size: probeRAM}})
	if err != nil {
		t.Fatal(err)
	}
	defer mem.Close()
	vm, err := New().NewVM(mem, hv.Config{CPUs: 300})
	if err != nil {
		t.Skip(err)
	}
	if !vm.(*VM).arch.wideIDs {
		t.Error("messages reach 255 processors only")
	}
	v, err := vm.NewVCPU(299)
	if err != nil {
		t.Fatal(err)
	}
	mustNil(t, v.Close())
	mustNil(t, vm.Close())
}

// TestAttachWidthByWidth is what Attach does on kernels without KVM_CAP_IOEVENTFD_ANY_LENGTH.
func TestAttachWidthByWidth(t *testing.T) {
	vm, v := testVM(t)
	vm.anyWidth = false
	const bell = 0x10_0000 // mapped by the probe's tables, behind its RAM
	e, err := vm.NewEvent()
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	detach, err := vm.Attach(e, bell)
	if err != nil {
		t.Fatal(err)
	}
	ram, err := vm.mem.Range(0, probeRAM)
	if err != nil {
		t.Fatal(err)
	}
	mustNil(t, ram.Write(probeCode, []byte{
		0xbb, 0x00, 0x00, 0x10, 0x00, // mov ebx, bell
		0x88, 0x03, //                   mov [rbx], al
		0x66, 0x89, 0x03, //             mov [rbx], ax
		0x89, 0x03, //                   mov [rbx], eax
		0x48, 0x89, 0x03, //             mov [rbx], rax
		0xe6, probePort, //              out probePort, al
	}))
	runToPort(t, v, 0)
	if !e.Wait() {
		t.Error("closed")
	}
	mustNil(t, detach())
	regs := probeRegs(kernelMode, 0)
	mustNil(t, v.Settle())
	mustNil(t, v.SetRegs(&regs))
	for size := 1; size <= 8; size *= 2 {
		var exit hv.Exit
		if err := v.Run(&exit); err != nil || exit.Kind != hv.ExitMMIO || exit.Size != size {
			t.Fatalf("detached, %d bytes: %+v, %v", size, exit, err)
		}
	}
}

// TestClosedVM: what others still hold of a closed VM answers with errors or does nothing.
func TestClosedVM(t *testing.T) {
	vm, v := testVM(t)
	q, err := vm.NewIRQ()
	if err != nil {
		t.Fatal(err)
	}
	mustNil(t, q.Route(0xfee0_0000, 0x41))
	e, err := hostos.NewEvent()
	if err != nil {
		t.Fatal(err)
	}
	fd, err := e.FD().Acquire()
	if err != nil {
		t.Fatal(err)
	}
	e.FD().Release()
	detach, err := vm.Attach(e, 0x10_0000)
	if err != nil {
		t.Fatal(err)
	}
	mustNil(t, e.Close())
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil {
		t.Errorf("the eventfd was closed while it was attached: %v", err)
	}
	mustNil(t, v.Close())
	mustNil(t, vm.Close())
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil {
		t.Error("the eventfd outlived the vm")
	}
	mustNil(t, detach())
	q.Raise()
	_, attach := vm.Attach(e, 0x20_0000)
	_, vcpu := vm.NewVCPU(0)
	_, dirty := vm.Dirty(0)
	for what, err := range map[string]error{
		"signal": vm.SignalMSI(0xfee0_0000, 0x41), "routes": vm.SetIOAPICRoutes([]hv.MSIRoute{{Addr: 0xfee0_0000, Data: 1}}),
		"attach": attach, "vcpu": vcpu, "dirty": dirty, "log": vm.SetDirtyLog(true), "clock": vm.PauseClock(),
	} {
		if !errors.Is(err, os.ErrClosed) {
			t.Errorf("%s: %v", what, err)
		}
	}
	mustNil(t, vm.Close())
}
