package guestmem

import "fmt"

// Words are shared with guest CPUs that run at the same time. All operations below are single accesses, and ordered as
// those of sync/atomic: one total order over all loads and stores of words. That is more than acquire and release. It
// holds back the case that virtqueues need and acquire/release does not cover: store "notify me from here on", then load
// "did anything come meanwhile" [VIRTIO §2.7.10].

// Load16 loads a little-endian word. off must be a multiple of 2 counted from the region's base, else ErrUnaligned.
func (r Range) Load16(off uint64) (uint16, error) {
	s, err := r.enterWord(off, 2)
	if err != nil {
		return 0, err
	}
	v := load16(&r.b.bytes[r.off+off])
	r.b.mem.leases.leave(s)
	return v, nil
}

// Store16 stores a little-endian word and marks its page dirty. off must be a multiple of 2 counted from the region's
// base, else ErrUnaligned. Neighbouring bytes are not touched.
func (r Range) Store16(off uint64, v uint16) error {
	s, err := r.enterWord(off, 2)
	if err != nil {
		return err
	}
	store16(&r.b.bytes[r.off+off], v)
	r.b.mem.leases.leave(s)
	r.b.dirty.mark(r.off+off, 2)
	return nil
}

// Load32 loads a little-endian word. off must be a multiple of 4 counted from the region's base, else ErrUnaligned.
func (r Range) Load32(off uint64) (uint32, error) {
	s, err := r.enterWord(off, 4)
	if err != nil {
		return 0, err
	}
	v := load32(&r.b.bytes[r.off+off])
	r.b.mem.leases.leave(s)
	return v, nil
}

// Store32 stores a little-endian word and marks its page dirty. off must be a multiple of 4 counted from the region's
// base, else ErrUnaligned.
func (r Range) Store32(off uint64, v uint32) error {
	s, err := r.enterWord(off, 4)
	if err != nil {
		return err
	}
	store32(&r.b.bytes[r.off+off], v)
	r.b.mem.leases.leave(s)
	r.b.dirty.mark(r.off+off, 4)
	return nil
}

// enterWord takes a lease for the size bytes at off, which must lie on a multiple of size.
func (r Range) enterWord(off, size uint64) (shard int, err error) {
	shard, _, err = r.enter(off, size)
	if err != nil {
		return 0, err
	}
	if (r.off+off)%size != 0 {
		r.b.mem.leases.leave(shard)
		return 0, fmt.Errorf("guestmem: %d-byte word at %#x: %w", size, uint64(r.Addr())+off, ErrUnaligned)
	}
	return shard, nil
}
