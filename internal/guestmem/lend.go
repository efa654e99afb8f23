package guestmem

import "fmt"

// Lend lends n bytes, from off on, of ranges laid end to end, as pieces appended to bufs: what [Range.With] does for one
// range, for several under one lease. The pieces must not be used after fn returns. The ranges must belong to one
// Memory. Empty pieces are left out. Lend allocates only if bufs has too little room.
func Lend(ranges []Range, off, n uint64, access Access, bufs [][]byte, fn func(bufs [][]byte) error) error {
	if n == 0 {
		return fn(bufs)
	}
	var mem *Memory
	var shard int
	defer func() { // also if fn panics: Close must not wait for ever
		if mem != nil {
			mem.leases.leave(shard)
			if access == ReadWrite {
				markAll(ranges, off, n)
			}
		}
	}()
	skip, left := off, n
	for _, r := range ranges {
		if left == 0 {
			break
		}
		if skip >= r.n {
			skip -= r.n
			continue
		}
		if mem == nil {
			shard = shardOf(r.off)
			if !r.b.mem.leases.enter(shard) {
				return ErrClosed
			}
			mem = r.b.mem
		}
		if r.b.mem != mem {
			panic("BUG: guestmem: lend of two memories")
		}
		from := r.off + skip
		take := min(left, r.n-skip)
		bufs = append(bufs, r.b.bytes[from:from+take:from+take])
		skip, left = 0, left-take
	}
	if left != 0 {
		return fmt.Errorf("guestmem: lend %d bytes at %d: %d missing: %w", n, off, left, ErrOutside)
	}
	return fn(bufs)
}

// markAll marks the pages dirty that a lend covered.
func markAll(ranges []Range, off, n uint64) {
	for _, r := range ranges {
		if n == 0 {
			return
		}
		if off >= r.n {
			off -= r.n
			continue
		}
		take := min(n, r.n-off)
		r.b.dirty.mark(r.off+off, take)
		off, n = 0, n-take
	}
}
