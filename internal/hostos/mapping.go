package hostos

import (
	"fmt"
	"math"
)

// Mapping is zeroed, private, page-aligned memory outside the Go heap. The garbage collector neither scans nor moves it,
// the host commits pages as they are touched where it can, and core dumps leave it out where the host offers that.
//
// Bytes and Address may be called from any goroutine; whoever closes the mapping makes sure that nobody uses it.
type Mapping struct {
	mem []byte
}

// MapAnonymous maps n bytes, rounded up to the host's page size by the host; Bytes gives exactly n.
func MapAnonymous(n uint64) (*Mapping, error) {
	if n == 0 || n > math.MaxInt {
		return nil, fmt.Errorf("hostos: map %d bytes: size out of range", n)
	}
	mem, err := mapAnonymous(int(n))
	if err != nil {
		return nil, fmt.Errorf("hostos: map %d bytes: %w", n, err)
	}
	return &Mapping{mem: mem}, nil
}

// Bytes is the mapped memory. It is gone after Close.
func (m *Mapping) Bytes() []byte { return m.mem }

// Address is where the mapping begins in this process.
func (m *Mapping) Address() uintptr { return address(m.mem) }

// Discard gives the pages of [off, off+n) back to the host: they read as zeros until they are written again. Both must
// be multiples of the host's page size and lie inside the mapping.
func (m *Mapping) Discard(off, n uint64) error {
	size := uint64(len(m.mem))
	if off > size || n > size-off {
		return fmt.Errorf("hostos: discard %#x+%#x of a mapping of %#x bytes: out of range", off, n, size)
	}
	if n == 0 {
		return nil
	}
	if err := discard(m.mem[off : off+n : off+n]); err != nil {
		return fmt.Errorf("hostos: discard %#x+%#x: %w", off, n, err)
	}
	return nil
}

// Close unmaps the memory. A second Close does nothing.
func (m *Mapping) Close() error {
	if m.mem == nil {
		return nil
	}
	mem := m.mem
	m.mem = nil
	if err := unmap(mem); err != nil {
		return fmt.Errorf("hostos: unmap %d bytes: %w", len(mem), err)
	}
	return nil
}
