//go:build linux && amd64

package kvm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/husk-vm/husk/internal/hostos"
	"github.com/husk-vm/husk/internal/hv"
)

// postedRing is the page in which the kernel keeps writes to coalesced zones: struct kvm_coalesced_mmio_ring
// [KVM-API §4.116]. There is one for the VM; every vCPU's descriptor maps it.
//
//	0   first   the oldest entry, ours to move
//	4   last    where the kernel writes next; first == last: empty
//	8   entries of 24 bytes: address, length, port or memory, data
//
// The kernel fills it with its own lock held, so entries have the order of the writes, and leaves one entry free. Of the
// page it reads back first alone.
type postedRing []byte

const (
	postedFirst   = 0
	postedLast    = 4
	postedEntries = 8

	postedEntry = 24 // sizeof(struct kvm_coalesced_mmio)
	postedAddr  = 0
	postedLen   = 8
	postedPIO   = 12 // 1: a port
	postedData  = 16

	ringSize   = 4096
	postedRoom = (ringSize - postedEntries) / postedEntry // KVM_COALESCED_MMIO_MAX
)

// posted is a VM's ring and what guards it.
type posted struct {
	pageAt int  // of the ring in a vCPU's descriptor, in pages; 0: this kernel has none
	ports  bool // zones of ports are possible

	// ring is made with the first vCPU and freed with the VM. It needs no lock: each thread that takes has made a vCPU
	// before, and the VM is closed after all vCPUs.
	ring postedRing

	mu     sync.Mutex // makes takers one at a time, until what they took is served
	exit   hv.Exit    // guarded by mu: what serve is shown
	data   [8]byte    // guarded by mu: exit's data
	broken bool       // guarded by mu: the kernel left the ring's bounds
}

var _ hv.PostedWrites = (*VM)(nil)

// setUpPosted asks what this kernel can post.
func (vm *VM) setUpPosted(sys *hostos.FD) (err error) {
	if vm.posted.pageAt, err = check(sys, capCoalescedMMIO); err != nil {
		return err
	}
	ports, err := check(sys, capCoalescedPIO)
	vm.posted.ports = ports > 0
	if (vm.posted.pageAt+1)*ringSize > vm.mmapSize {
		vm.posted.pageAt = 0 // a page that vCPUs do not map
	}
	return err
}

// mapRing maps the ring through a vCPU's descriptor. The mapping outlives the descriptor.
// Preconditions: vm.mu is held.
func (vm *VM) mapRing(fd int) error {
	if vm.posted.pageAt == 0 || vm.posted.ring != nil {
		return nil
	}
	page, err := unix.Mmap(fd, int64(vm.posted.pageAt)*ringSize, ringSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return fmt.Errorf("map ring of posted writes: %w", err)
	}
	vm.posted.ring = page
	return nil
}

// unmapRing undoes mapRing.
func (vm *VM) unmapRing() error {
	ring := vm.posted.ring
	if ring == nil {
		return nil
	}
	vm.posted.ring = nil
	return unix.Munmap(ring)
}

// PostPort makes guest writes inside the n ports from port on posted. See hv.PostedWrites.
func (vm *VM) PostPort(port uint16, n int) error {
	if n < 1 || int(port)+n > 1<<16 {
		return fmt.Errorf("kvm: post ports %#x: %d are not possible", port, n)
	}
	if !vm.posted.ports {
		return fmt.Errorf("kvm: post ports %#x: this kernel lacks KVM_CAP_COALESCED_PIO: %w", port, errors.ErrUnsupported)
	}
	return vm.post(coalescedZone{addr: uint64(port), size: uint32(n), pio: 1})
}

// PostMMIO makes guest writes inside the n bytes from addr on posted. See hv.PostedWrites.
func (vm *VM) PostMMIO(addr uint64, n int) error {
	if n < 1 || uint64(n) > math.MaxUint32 || addr+uint64(n-1) < addr {
		return fmt.Errorf("kvm: post writes at %#x: %d bytes are not possible", addr, n)
	}
	return vm.post(coalescedZone{addr: addr, size: uint32(n)})
}

// post is KVM_REGISTER_COALESCED_MMIO.
func (vm *VM) post(z coalescedZone) error {
	if vm.posted.pageAt == 0 {
		return fmt.Errorf("kvm: post writes at %#x: this kernel lacks KVM_CAP_COALESCED_MMIO: %w", z.addr, errors.ErrUnsupported)
	}
	if _, err := callWith(vm.fd, registerCoalesced, &z); err != nil {
		return fmt.Errorf("kvm: post writes at %#x: %w", z.addr, err)
	}
	return nil
}

// TakePosted hands over the writes posted so far. See hv.PostedWrites. It allocates for failures only, and costs two
// loads where there are none.
func (vm *VM) TakePosted(serve func(*hv.Exit)) {
	p := &vm.posted
	if p.ring == nil || p.ring.empty() {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.take(serve)
}

// take serves what is in the ring now. An entry leaves the ring after it was served: who finds the ring empty without the
// lock knows that everything before has been done.
// Preconditions: p.mu is held.
func (p *posted) take(serve func(*hv.Exit)) {
	if p.broken {
		return
	}
	at, last := p.ring.first(), p.ring.last()
	if at >= postedRoom || last >= postedRoom {
		p.broken = true
		p.exit = hv.Exit{}
		fail(&p.exit, "malformed ring of posted writes", uint64(last)<<32|uint64(at))
		serve(&p.exit)
		return
	}
	for at != last { // at most postedRoom-1 turns: last is a copy
		p.decode(at)
		serve(&p.exit)
		at = (at + 1) % postedRoom
		p.ring.setFirst(at)
	}
}

// decode copies entry i and makes an exit of the copy.
func (p *posted) decode(i uint32) {
	var e [postedEntry]byte
	copy(e[:], p.ring[postedEntries+postedEntry*int(i):])
	addr, n, pio := binary.NativeEndian.Uint64(e[postedAddr:]), binary.NativeEndian.Uint32(e[postedLen:]), binary.NativeEndian.Uint32(e[postedPIO:])
	kind, ok := hv.ExitMMIO, n >= 1 && n <= 8
	if pio != 0 {
		kind, ok = hv.ExitPort, (n == 1 || n == 2 || n == 4) && addr <= 0xffff
	}
	p.exit = hv.Exit{}
	if !ok {
		fail(&p.exit, "malformed posted write", uint64(n))
		return
	}
	p.data = [8]byte(e[postedData:])
	p.exit = hv.Exit{Kind: kind, Addr: addr, Size: int(n), Write: true, Data: p.data[:n:n]}
}

// empty reports whether all that was posted has been served. The order matters: last first. While it is read and first
// after it, first can only move towards what last was or beyond, never round to it from behind, so that equality means
// that everything up to last is done.
func (r postedRing) empty() bool {
	last := r.last()
	return r.first() == last
}
