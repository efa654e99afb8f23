package guestmem

import "sync/atomic"

// dirtyMap has one bit for each page of a block that the host wrote. Writes by the guest are the hypervisor's to log.
//
// Writers mark a page after they wrote it and gave back their lease. So whoever switches tracking on, or takes the bits,
// and then copies the page either sees the write or finds the bit the next time.
type dirtyMap struct {
	words atomic.Pointer[[]atomic.Uint64] // nil while tracking is off
}

// mark notes a write of n bytes from off on. With tracking off it is one load.
func (d *dirtyMap) mark(off, n uint64) {
	if words := d.words.Load(); words != nil && n != 0 {
		markPages(*words, off/PageSize, (off+n-1)/PageSize)
	}
}

// markPages sets the bits of the pages first..last, a word at a time.
func markPages(words []atomic.Uint64, first, last uint64) {
	for w := first / 64; w <= last/64; w++ {
		bits := ^uint64(0)
		if w == first/64 {
			bits <<= first % 64
		}
		if w == last/64 {
			bits &= ^uint64(0) >> (63 - last%64)
		}
		if words[w].Load()&bits != bits { // often set already: a queue writes the same pages again and again
			words[w].Or(bits)
		}
	}
}

// TrackDirty switches the record of pages that the host writes on or off. Switching it on begins with no page dirty.
func (m *Memory) TrackDirty(on bool) {
	for i := range m.blocks {
		b := &m.blocks[i]
		if !on {
			b.dirty.words.Store(nil)
			continue
		}
		words := make([]atomic.Uint64, (b.Size/PageSize+63)/64)
		b.dirty.words.Store(&words)
	}
}

// TakeDirty returns one bit a page of region i, bit 0 of word 0 being the first, for the host's writes since the last
// call, and clears them. It returns nil while tracking is off.
func (m *Memory) TakeDirty(i int) []uint64 {
	words := m.blocks[i].dirty.words.Load()
	if words == nil {
		return nil
	}
	bits := make([]uint64, len(*words))
	for w := range bits {
		bits[w] = (*words)[w].Swap(0)
	}
	return bits
}
