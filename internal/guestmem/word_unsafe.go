package guestmem

import (
	"encoding/binary"
	"sync/atomic"
	"unsafe"
)

func load32(p *byte) uint32 {
	// Safety: Range.enterWord checked that four bytes from p on are RAM and that p is aligned; the lease keeps them mapped.
	return le32(atomic.LoadUint32((*uint32)(unsafe.Pointer(p))))
}

func store32(p *byte, v uint32) {
	// Safety: as in load32.
	atomic.StoreUint32((*uint32)(unsafe.Pointer(p)), le32(v))
}

// le32 swaps bytes on big-endian hosts; on all others it compiles to nothing.
func le32(v uint32) uint32 {
	var b [4]byte
	binary.NativeEndian.PutUint32(b[:], v)
	return binary.LittleEndian.Uint32(b[:])
}
