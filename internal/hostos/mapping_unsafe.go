package hostos

import "unsafe"

// address is where b's memory begins.
func address(b []byte) uintptr {
	// Safety: only the number leaves; b is memory outside the Go heap, which never moves.
	return uintptr(unsafe.Pointer(unsafe.SliceData(b)))
}
