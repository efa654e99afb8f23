package guestmem

import (
	"errors"
	"fmt"

	"github.com/husk-vm/husk/internal/hostos"
)

var (
	// ErrOutside says that an address or an offset leaves the RAM it was meant for.
	ErrOutside = errors.New("outside of RAM")
	// ErrUnaligned says that a word does not lie on a multiple of its size.
	ErrUnaligned = errors.New("unaligned word")
	// ErrClosed says that the RAM was given back to the host.
	ErrClosed = errors.New("guest memory is closed")
)

// Memory is the RAM of one VM. All methods may be called from any goroutine.
type Memory struct {
	blocks []block // in ascending order of address, never changed
	leases leases
}

// block is one region with its host memory. It never moves: ranges point to it.
type block struct {
	Region
	mem   *Memory
	host  *hostos.Mapping
	bytes []byte // host's memory, Size bytes; touched only under a lease
	dirty dirtyMap
}

// New reserves RAM for the regions, which must not overlap. The host commits pages as the guest touches them.
func New(regions []Region) (*Memory, error) {
	sorted, err := checkRegions(regions)
	if err != nil {
		return nil, err
	}
	m := &Memory{blocks: make([]block, len(sorted))}
	m.leases.init()
	for i, r := range sorted {
		host, err := hostos.MapAnonymous(r.Size)
		if err != nil {
			_ = m.unmap() // the first error is the one to tell
			return nil, fmt.Errorf("guestmem: region %v: %w", r, err)
		}
		b := &m.blocks[i]
		b.Region, b.mem, b.host, b.bytes = r, m, host, host.Bytes()
	}
	return m, nil
}

// Close waits until no lease is held and returns the RAM to the host. Every later access fails with [ErrClosed].
// A second Close waits for the first and does nothing.
func (m *Memory) Close() error { return m.leases.close(m.unmap) }

func (m *Memory) unmap() error {
	var errs []error
	for i := range m.blocks {
		if m.blocks[i].host != nil {
			errs = append(errs, m.blocks[i].host.Close())
		}
	}
	return errors.Join(errs...)
}

// Regions returns the regions in ascending order of address.
func (m *Memory) Regions() []Region {
	rs := make([]Region, len(m.blocks))
	for i := range m.blocks {
		rs[i] = m.blocks[i].Region
	}
	return rs
}

// HostAddress returns where region i is mapped in this process, for a back end to hand to its hypervisor.
// It stays valid until Close, and is 0 afterwards.
func (m *Memory) HostAddress(i int) uintptr {
	b := &m.blocks[i]
	if !m.leases.enter(0) {
		return 0
	}
	defer m.leases.leave(0)
	return b.host.Address()
}

// Range returns the n bytes from a on. They must lie in one region: a range across two regions is refused. n may be 0
// if a is inside a region or at its end. The error satisfies errors.Is(err, ErrOutside).
func (m *Memory) Range(a GPA, n uint64) (Range, error) {
	for i := range m.blocks { // a handful: RAM below the hole, RAM above it
		b := &m.blocks[i]
		if a < b.Base {
			break
		}
		if off := uint64(a - b.Base); off < b.Size && n <= b.Size-off || off == b.Size && n == 0 {
			return Range{b: b, off: off, n: n}, nil
		}
	}
	return Range{}, fmt.Errorf("guestmem: range %#x+%#x: %w", uint64(a), n, ErrOutside)
}
