//go:build linux && amd64

package kvm

import (
	"fmt"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/husk-vm/husk/internal/hostos"
	"github.com/husk-vm/husk/internal/hv"
)

// VCPU is one virtual CPU. All methods but Kick belong to the thread that made it.
//
// Kicking: Kick sets kicked, then immediate_exit, then signals the thread. Whichever KVM_RUN comes next, or is under way,
// therefore ends with EINTR: in the guest the signal forces it out, before it the flag does, and a signal that comes too
// early or too late changes nothing. All three happen under mu, so who finds kicked set finds the rest done too. Run takes the flag down before it takes kicked, so that a Kick in between is seen by
// this Run or leaves the flag up for the next. EINTR without kicked is a stray signal, and nobody's business.
type VCPU struct {
	vm     *VM
	id     int
	fd     int // owned by the thread; never given to others
	page   runPage
	thread hostos.Thread
	kicked atomic.Bool
	parked bool // an exit that Settle met waits in page for Run

	mu     sync.Mutex // lets Close wait for kicks; held for a store and a signal
	closed bool       // guarded by mu
}

var (
	_ hv.VCPU    = (*VCPU)(nil)
	_ hv.X86VCPU = (*VCPU)(nil)
)

func newVCPU(vm *VM, id int) (*VCPU, error) {
	thread, err := hostos.CurrentThread()
	if err != nil {
		return nil, err
	}
	fd, err := call(vm.fd, createVCPU, uintptr(id))
	if err != nil {
		return nil, err
	}
	page, err := unix.Mmap(fd, 0, vm.mmapSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("map run page: %w", err)
	}
	return &VCPU{vm: vm, id: id, fd: fd, page: page, thread: thread}, nil
}

// Run completes the previous exit, enters the guest and fills exit when it leaves.
func (v *VCPU) Run(exit *hv.Exit) error {
	for {
		var err error
		if !v.parked {
			_, err = ioctl(v.fd, runVCPU, 0)
		}
		v.parked = false
		switch err {
		case nil:
			if !v.page.decode(exit) {
				continue
			}
			if exit.Kind == hv.ExitFailed {
				v.complete(exit.Err.(*hv.FailedError))
			}
			return nil
		case unix.EINTR:
			// The page still holds the exit before this one: it must not be decoded.
			v.page.disarmExit()
			if v.kicked.Swap(false) {
				*exit = hv.Exit{Kind: hv.ExitKicked}
				return nil
			}
		case unix.EAGAIN:
			// A vCPU that waited for its start was sent INIT or SIPI: enter again. A kick is seen there.
		default:
			return fmt.Errorf("kvm: run vcpu %d: %w", v.id, err)
		}
	}
}

// Kick makes the present Run, or else the next one, return ExitKicked soon. Any goroutine; it never blocks for longer
// than another Kick takes. After Close it does nothing.
func (v *VCPU) Kick() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed {
		return
	}
	if v.kicked.Swap(true) {
		return // one is on its way, flag and signal: real-time signals queue, and a storm of them would starve the guest
	}
	v.page.armExit()
	v.thread.Kick()
}

// Settle finishes a half-done port or MMIO access without running further guest code. See hv.VCPU.
func (v *VCPU) Settle() error {
	if v.parked {
		return hv.ErrUnsettled
	}
	v.page.armExit()
	_, err := ioctl(v.fd, runVCPU, 0)
	v.page.disarmExit()
	if v.kicked.Load() {
		v.page.armExit() // the kick is for Run; its flag may be the one just taken down
	}
	switch err {
	case nil:
		if v.page.reason() == exitIntr {
			return nil
		}
		v.parked = true
		return hv.ErrUnsettled
	case unix.EINTR, unix.EAGAIN:
		return nil
	default:
		return fmt.Errorf("kvm: settle vcpu %d: %w", v.id, err)
	}
}

// Close frees the vCPU. It must not be in Run. A second Close does nothing.
func (v *VCPU) Close() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed {
		return nil
	}
	v.closed = true
	v.vm.forget(v)
	err := unix.Munmap(v.page)
	if cerr := unix.Close(v.fd); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("kvm: close vcpu %d: %w", v.id, err)
	}
	return nil
}
