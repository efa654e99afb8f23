//go:build linux && amd64

package kvm

import (
	"sync/atomic"
	"unsafe"
)

// word is one of the two indices at the ring's beginning. The kernel stores last with the entry before it in order, and
// reads first before it writes an entry: the atomic accesses are the other half of that.
func (r postedRing) word(off int) *uint32 {
	// Safety: r is ringSize long and begins on a page (8-byte aligned in tests), so both words are there and aligned.
	return (*uint32)(unsafe.Pointer(&r[off]))
}

func (r postedRing) first() uint32      { return atomic.LoadUint32(r.word(postedFirst)) }
func (r postedRing) last() uint32       { return atomic.LoadUint32(r.word(postedLast)) }
func (r postedRing) setFirst(at uint32) { atomic.StoreUint32(r.word(postedFirst), at) }
