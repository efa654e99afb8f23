//go:build linux && amd64

package kvm

import (
	"errors"
	"fmt"

	"github.com/husk-vm/husk/internal/hostos"
	"github.com/husk-vm/husk/internal/hv"
)

// attachment is an event that guest stores ring. It keeps the eventfd open, because letting go needs its number.
type attachment struct {
	event *hostos.Event
	fd    int
	addr  uint64
	lens  []uint32 // the widths it is registered for
}

// NewEvent makes an event that is not set.
func (vm *VM) NewEvent() (hv.Event, error) { return hostos.NewEvent() }

// Attach makes guest MMIO stores of any width to addr ring e, without an exit. The event must come from NewEvent.
func (vm *VM) Attach(e hv.Event, addr uint64) (detach func() error, err error) {
	event, ok := e.(*hostos.Event)
	if !ok {
		return nil, fmt.Errorf("kvm: attach event to %#x: %T is not of this back end: %w", addr, e, errors.ErrUnsupported)
	}
	a := &attachment{event: event, addr: addr}
	if a.fd, err = event.FD().Acquire(); err != nil {
		return nil, fmt.Errorf("kvm: attach event to %#x: %w", addr, err)
	}
	lens := []uint32{0} // any width; the kernel may then look no further than the address
	if !vm.anyWidth {
		lens = []uint32{1, 2, 4, 8}
	}
	vm.mu.Lock()
	defer vm.mu.Unlock()
	for _, n := range lens {
		if err = vm.ioEvent(a, n, 0); err != nil {
			break
		}
		a.lens = append(a.lens, n)
	}
	if err != nil {
		_ = vm.letGo(a) // the first error is the one to tell
		event.FD().Release()
		return nil, fmt.Errorf("kvm: attach event to %#x: %w", addr, err)
	}
	vm.attached[a] = true
	return func() error { return vm.detach(a) }, nil
}

// detach undoes Attach; once, and not after the VM is closed.
func (vm *VM) detach(a *attachment) error {
	vm.mu.Lock()
	defer vm.mu.Unlock()
	if !vm.attached[a] {
		return nil
	}
	delete(vm.attached, a)
	err := vm.letGo(a)
	a.event.FD().Release()
	if err != nil {
		return fmt.Errorf("kvm: detach event from %#x: %w", a.addr, err)
	}
	return nil
}

// letGo unregisters all widths of a.
func (vm *VM) letGo(a *attachment) error {
	var errs []error
	for _, n := range a.lens {
		errs = append(errs, vm.ioEvent(a, n, ioEventDeassign))
	}
	return errors.Join(errs...)
}

// ioEvent is KVM_IOEVENTFD.
func (vm *VM) ioEvent(a *attachment, length, flags uint32) error {
	arg := ioEvent{addr: a.addr, len: length, fd: int32(a.fd), flags: flags}
	_, err := callWith(vm.fd, ioEventFD, &arg)
	return err
}
