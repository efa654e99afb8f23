//go:build linux && amd64

package kvm

import (
	"fmt"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/husk-vm/husk/internal/guestmem"
	"github.com/husk-vm/husk/internal/hostos"
	"github.com/husk-vm/husk/internal/hv"
)

// createTries bounds how often making a VM is tried again after EINTR. The kernel takes locks there that a pending
// signal breaks off, and the Go runtime sends signals to preempt; more than a few in a row do not happen.
const createTries = 100

// VM is one KVM virtual machine. NewVCPU is called on the vCPUs' threads, everything else from any goroutine.
//
// Lock order: VCPU.mu, VM.mu. The locks of routes and clock come before both, and so does posted's, which is held while
// the machine serves posted writes.
type VM struct {
	fd       *hostos.FD
	mem      *guestmem.Memory
	cpus     int
	mmapSize int  // of a vCPU's run page and what follows it, in bytes
	anyWidth bool // one ioeventfd of length 0 catches stores of all widths
	arch     archVM
	posted   posted

	mu       sync.Mutex
	vcpus    map[int]*VCPU        // guarded by mu
	attached map[*attachment]bool // guarded by mu
	closed   bool                 // guarded by mu
}

var (
	_ hv.VM       = (*VM)(nil)
	_ hv.DirtyLog = (*VM)(nil)
	_ hv.IRQFDs   = (*VM)(nil)
	_ hv.Events   = (*VM)(nil)
)

// newVM makes a VM in the order the kernel wants: interrupt controllers before vCPUs, address space last.
func newVM(sys *hostos.FD, mem *guestmem.Memory, cfg hv.Config) (_ *VM, err error) {
	vm := &VM{mem: mem, cpus: cfg.CPUs, vcpus: map[int]*VCPU{}, attached: map[*attachment]bool{}}
	if vm.mmapSize, err = call(sys, getVCPUMmapSize, 0); err != nil {
		return nil, fmt.Errorf("kvm: size of the run page: %w", err)
	}
	if vm.mmapSize < runPageSize {
		return nil, fmt.Errorf("kvm: size of the run page: %d bytes are too few", vm.mmapSize)
	}
	wide, err := check(sys, capIOEventFDAnyLength)
	if err != nil {
		return nil, err
	}
	vm.anyWidth = wide > 0
	if err := vm.setUpPosted(sys); err != nil {
		return nil, err
	}
	if vm.fd, err = create(sys); err != nil {
		return nil, fmt.Errorf("kvm: create vm: %w", err)
	}
	defer func() {
		if err != nil {
			_ = vm.fd.Close()
		}
	}()
	if err := vm.setUpArch(sys); err != nil {
		return nil, err
	}
	if err := vm.mapMemory(0); err != nil {
		return nil, err
	}
	return vm, nil
}

// create is KVM_CREATE_VM.
func create(sys *hostos.FD) (*hostos.FD, error) {
	for try := 1; ; try++ {
		fd, err := call(sys, createVM, 0)
		if err == nil {
			return hostos.NewFD(fd), nil
		}
		if err != unix.EINTR || try == createTries {
			return nil, err
		}
	}
}

// enable is KVM_ENABLE_CAP on the VM.
func (vm *VM) enable(c capability, name string, arg uint64) error {
	args := enableCapArgs{cap: uint32(c), args: [4]uint64{arg}}
	if _, err := callWith(vm.fd, enableCap, &args); err != nil {
		return fmt.Errorf("kvm: enable %s: %w", name, err)
	}
	return nil
}

// NewVCPU makes vCPU number id on the calling thread, which must run it.
func (vm *VM) NewVCPU(id int) (hv.VCPU, error) {
	if id < 0 || id >= vm.cpus {
		return nil, fmt.Errorf("kvm: create vcpu %d: the vm has vcpus 0 to %d", id, vm.cpus-1)
	}
	v, err := newVCPU(vm, id)
	if err != nil {
		return nil, fmt.Errorf("kvm: create vcpu %d: %w", id, err)
	}
	vm.mu.Lock()
	vm.vcpus[id] = v
	err = vm.mapRing(v.fd)
	vm.mu.Unlock()
	if err != nil {
		_ = v.Close() // the first error is the one to tell
		return nil, fmt.Errorf("kvm: create vcpu %d: %w", id, err)
	}
	return v, nil
}

// forget takes a closed vCPU off the list.
func (vm *VM) forget(v *VCPU) {
	vm.mu.Lock()
	defer vm.mu.Unlock()
	if vm.vcpus[v.id] == v {
		delete(vm.vcpus, v.id)
	}
}

// Close frees the VM. All vCPUs must have been closed. A second Close does nothing. Events still attached are let go;
// SignalMSI and Raise do nothing from now on.
func (vm *VM) Close() error {
	vm.mu.Lock()
	defer vm.mu.Unlock()
	if vm.closed {
		return nil
	}
	if n := len(vm.vcpus); n > 0 {
		return fmt.Errorf("kvm: close vm: %d vcpus are open", n)
	}
	vm.closed = true
	for a := range vm.attached {
		a.event.FD().Release()
	}
	clear(vm.attached)
	err := vm.unmapRing() // the mapping would keep the kernel's VM alive
	if cerr := vm.fd.Close(); err == nil {
		err = cerr
	}
	return err
}
