//go:build !amd64 && !arm64

package guestmem

import (
	"sync/atomic"
	"unsafe"
)

// aligned returns the 32-bit word that holds the two bytes at p, and where in it they are.
func aligned(p *byte) (w *uint32, shift uint) {
	// Safety: p is even and inside a region whose base and size are multiples of PageSize, so its aligned word is inside too.
	odd := uintptr(unsafe.Pointer(p)) & 2
	return (*uint32)(unsafe.Add(unsafe.Pointer(p), -int(odd))), uint(odd) * 8
}

func load16(p *byte) uint16 {
	w, shift := aligned(p)
	return uint16(le32(atomic.LoadUint32(w)) >> shift)
}

// store16 exchanges the whole word and tries again if anyone changed it, so no neighbour's store is undone. A guest that
// keeps storing beside it can delay it, but not for ever on hardware whose compare-and-swap is fair.
func store16(p *byte, v uint16) {
	w, shift := aligned(p)
	for {
		old := atomic.LoadUint32(w)
		val := le32(old)&^(0xffff<<shift) | uint32(v)<<shift
		if atomic.CompareAndSwapUint32(w, old, le32(val)) {
			return
		}
	}
}
