package devices

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
)

// ErrOverlap is the cause of Map's and Move's error where the addresses are taken. Guests move their PCI BARs, so this
// is a condition that callers meet and answer.
var ErrOverlap = errors.New("addresses overlap")

// Bus finds the device behind an address. A machine has two: x86 ports, and MMIO. The zero Bus is empty and ready.
//
// Any goroutine may call any method. Read and Write take no lock and allocate nothing; Map, Unmap and Move copy the
// table and publish the copy.
//
// An access belongs to the block that holds its first byte. What reaches beyond the end of that block is not claimed,
// even if another block begins there. Unclaimed bytes read as ones and writes to them are dropped, as on a bus whose
// lines are pulled up.
type Bus struct {
	mu     sync.Mutex              // serialises writers of blocks; readers never take it
	blocks atomic.Pointer[[]block] // sorted by base, disjoint, immutable once published
	misses atomic.Uint64
}

// block is one mapped device. The last address is kept, not the end: a block may end at 2^64.
type block struct {
	base, last uint64
	dev        Device
}

func (b block) String() string { return fmt.Sprintf("%#x-%#x (%T)", b.base, b.last, b.dev) }

// Map puts d at [base, base+size). Size is in bytes, 1 or more, and the block must not wrap around 2^64. If another
// device holds one of the addresses the error names both and satisfies errors.Is(err, ErrOverlap).
func (b *Bus) Map(base, size uint64, d Device) error {
	switch {
	case d == nil:
		return fmt.Errorf("map %#x: no device", base)
	case size == 0 || base+(size-1) < base:
		return fmt.Errorf("map %#x: size %#x is zero or wraps", base, size)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.insert(b.table(), block{base, base + (size - 1), d})
}

// Unmap takes away the device that was mapped at base. It does not wait for accesses under way: a vCPU that looked the
// block up before Unmap may still be calling the device, or about to, when Unmap returns. Devices therefore stay
// callable for ever, and free what they own only when no vCPU runs.
func (b *Bus) Unmap(base uint64) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	old := b.table()
	i, ok := find(old, base)
	if !ok || old[i].base != base {
		return fmt.Errorf("unmap %#x: nothing is mapped there", base)
	}
	rest := slices.Concat(old[:i], old[i+1:])
	b.blocks.Store(&rest)
	return nil
}

// Move maps the device at from at to instead, in one step: no access sees both places or neither. If to is taken the
// device stays where it was and the error satisfies errors.Is(err, ErrOverlap). As with Unmap, accesses under way may
// still arrive.
func (b *Bus) Move(from, to uint64) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	old := b.table()
	i, ok := find(old, from)
	if !ok || old[i].base != from {
		return fmt.Errorf("move %#x: nothing is mapped there", from)
	}
	n := block{to, to + (old[i].last - from), old[i].dev}
	if n.last < to {
		return fmt.Errorf("move %#x to %#x: wraps", from, to)
	}
	return b.insert(slices.Concat(old[:i], old[i+1:]), n)
}

// Read fills p with what a guest reads at addr. Any length is fine (a hypervisor may cut an access at a page boundary
// into odd parts); devices see 1, 2, 4 or 8 bytes at a time.
func (b *Bus) Read(addr uint64, p []byte) {
	dev, off, n := b.lookup(addr, len(p))
	for i := n; i < len(p); i++ {
		p[i] = 0xff
	}
	for p = p[:n]; len(p) > 0; {
		w := width(len(p))
		dev.Read(off, p[:w:w])
		off, p = off+uint64(w), p[w:]
	}
}

// Write hands to the device at addr what a guest wrote. Lengths are as in Read.
func (b *Bus) Write(addr uint64, p []byte) {
	dev, off, n := b.lookup(addr, len(p))
	for p = p[:n]; len(p) > 0; {
		w := width(len(p))
		dev.Write(off, p[:w:w])
		off, p = off+uint64(w), p[w:]
	}
}

// Misses is the number of accesses so far that no device claimed, or not all of.
func (b *Bus) Misses() uint64 { return b.misses.Load() }

// lookup returns the device at addr, the offset of addr in its block, and how many of n bytes the block holds.
func (b *Bus) lookup(addr uint64, n int) (dev Device, off uint64, claimed int) {
	t := b.table()
	i, ok := find(t, addr)
	if !ok {
		b.misses.Add(1)
		return nil, 0, 0
	}
	hit := &t[i]
	if room := hit.last - addr; n > 0 && uint64(n-1) > room { // room counts the bytes after the first: no overflow
		b.misses.Add(1)
		n = int(room) + 1
	}
	return hit.dev, addr - hit.base, n
}

// insert publishes t with n added.
// Preconditions: b.mu is held, t is sorted.
func (b *Bus) insert(t []block, n block) error {
	i, taken := find(t, n.base)
	if !taken && i < len(t) && t[i].base <= n.last {
		taken = true
	}
	if taken {
		return fmt.Errorf("map %v: %w with %v", n, ErrOverlap, t[i])
	}
	next := slices.Concat(t[:i], []block{n}, t[i:])
	b.blocks.Store(&next)
	return nil
}

func (b *Bus) table() []block {
	if t := b.blocks.Load(); t != nil {
		return *t
	}
	return nil
}

// find returns the index of the block that holds addr, or else the index of the first block above addr.
func find(t []block, addr uint64) (int, bool) {
	lo, hi := 0, len(t)
	for lo < hi {
		m := int(uint(lo+hi) / 2)
		switch {
		case addr < t[m].base:
			hi = m
		case addr > t[m].last:
			lo = m + 1
		default:
			return m, true
		}
	}
	return lo, false
}

// width is the widest access a device knows that fits into n bytes.
func width(n int) int {
	switch {
	case n >= 8:
		return 8
	case n >= 4:
		return 4
	case n >= 2:
		return 2
	}
	return 1
}
