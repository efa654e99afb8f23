package kvm

import (
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/husk-vm/husk/internal/hv"
)

var (
	_ hv.X86LAPICs = (*VM)(nil)
	_ hv.X86Clock  = (*VM)(nil)
)

// clock is the paravirtual clock's value while the VM is paused.
type clock struct {
	mu     sync.Mutex
	paused bool   // guarded by mu
	ns     uint64 // guarded by mu
}

// PauseClock notes the time at which the guest's clock stands still, and tells the guest that it was stopped, so that its
// watchdogs do not take the pause for a hang. No vCPU may be in Run. A second call does nothing.
func (vm *VM) PauseClock() error {
	c := &vm.arch.clock
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.paused {
		return nil
	}
	var d clockData
	if _, err := callWith(vm.fd, getClock, &d); err != nil {
		return fmt.Errorf("kvm: pause clock: %w", err)
	}
	if err := vm.tellStopped(); err != nil {
		return fmt.Errorf("kvm: pause clock: %w", err)
	}
	c.paused, c.ns = true, d.clock
	return nil
}

// ResumeClock lets the guest's clock go on from where PauseClock left it.
func (vm *VM) ResumeClock() error {
	c := &vm.arch.clock
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.paused {
		return nil
	}
	d := clockData{clock: c.ns}
	if _, err := callWith(vm.fd, setClock, &d); err != nil {
		return fmt.Errorf("kvm: resume clock: %w", err)
	}
	c.paused = false
	return nil
}

// tellStopped is KVM_KVMCLOCK_CTRL for every vCPU. EINVAL means that its guest does not use the clock, or not yet.
func (vm *VM) tellStopped() error {
	vm.mu.Lock()
	defer vm.mu.Unlock()
	var errs []error
	for id, v := range vm.vcpus {
		if _, err := ioctl(v.fd, kvmclockCtrl, 0); err != nil && err != unix.EINVAL {
			errs = append(errs, fmt.Errorf("vcpu %d: %w", id, err))
		}
	}
	return errors.Join(errs...)
}
