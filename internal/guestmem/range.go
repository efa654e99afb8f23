package guestmem

import "fmt"

// Range is a checked piece of RAM. The zero value is empty.
type Range struct {
	b      *block // nil in the zero value only
	off, n uint64 // off+n <= b.Size
}

// Access says what the borrower of lent RAM does with it.
type Access uint8

const (
	ReadOnly  Access = iota // the bytes are only looked at
	ReadWrite               // the bytes may be changed
)

// Addr is the address of the first byte.
func (r Range) Addr() GPA {
	if r.b == nil {
		return 0
	}
	return r.b.Base + GPA(r.off)
}

// Len is the length in bytes.
func (r Range) Len() uint64 { return r.n }

// Slice returns n bytes of r from off on.
func (r Range) Slice(off, n uint64) (Range, error) {
	if off > r.n || n > r.n-off {
		return Range{}, r.outside(off, n)
	}
	return Range{b: r.b, off: r.off + off, n: n}, nil
}

// Read copies len(p) bytes out, from off on. The guest may change them meanwhile: check the copy, use the copy.
func (r Range) Read(off uint64, p []byte) error {
	s, ok, err := r.enter(off, uint64(len(p)))
	if !ok {
		return err
	}
	copy(p, r.b.bytes[r.off+off:])
	r.b.mem.leases.leave(s)
	return nil
}

// Write copies p in, from off on, and marks the pages dirty.
func (r Range) Write(off uint64, p []byte) error {
	s, ok, err := r.enter(off, uint64(len(p)))
	if !ok {
		return err
	}
	copy(r.b.bytes[r.off+off:], p)
	r.b.mem.leases.leave(s)
	r.b.dirty.mark(r.off+off, uint64(len(p)))
	return nil
}

// With lends r's bytes to fn under a lease: they must not be used after fn returns. With ReadWrite the pages are marked
// dirty afterwards. It does not allocate. An empty range lends an empty slice.
func (r Range) With(access Access, fn func(p []byte) error) error {
	s, ok, err := r.enter(0, r.n)
	if !ok {
		if err != nil {
			return err
		}
		return fn(nil)
	}
	defer r.giveBack(s, access) // also if fn panics: Close must not wait for ever
	return fn(r.b.bytes[r.off : r.off+r.n : r.off+r.n])
}

func (r Range) giveBack(s int, access Access) {
	r.b.mem.leases.leave(s)
	if access == ReadWrite {
		r.b.dirty.mark(r.off, r.n)
	}
}

// Discard gives the RAM back to the host; it reads as zeros until written again. r must consist of whole pages, else
// the error is ErrUnaligned.
func (r Range) Discard() error {
	s, ok, err := r.enter(0, r.n)
	if !ok {
		return err
	}
	defer r.giveBack(s, ReadWrite)
	if r.off%PageSize != 0 || r.n%PageSize != 0 {
		return fmt.Errorf("guestmem: discard %#x+%#x: %w", uint64(r.Addr()), r.n, ErrUnaligned)
	}
	return r.b.host.Discard(r.off, r.n)
}

// enter takes a lease for [off, off+n) of r. Without one, ok is false and err says why; it is nil if n is 0.
func (r Range) enter(off, n uint64) (shard int, ok bool, err error) {
	if off > r.n || n > r.n-off {
		return 0, false, r.outside(off, n)
	}
	if n == 0 {
		return 0, false, nil
	}
	shard = shardOf(r.off + off)
	if !r.b.mem.leases.enter(shard) {
		return 0, false, ErrClosed
	}
	return shard, true, nil
}

func (r Range) outside(off, n uint64) error {
	return fmt.Errorf("guestmem: %#x+%#x of range %#x+%#x: %w", off, n, uint64(r.Addr()), r.n, ErrOutside)
}
