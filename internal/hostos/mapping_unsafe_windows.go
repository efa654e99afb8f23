package hostos

import (
	"unsafe"

	"golang.org/x/sys/windows"
)

func mapAnonymous(n int) ([]byte, error) {
	// Committed at once: a hypervisor's partition maps committed memory only. The pages themselves come on first touch.
	addr, err := windows.VirtualAlloc(0, uintptr(n), windows.MEM_RESERVE|windows.MEM_COMMIT, windows.PAGE_READWRITE)
	if err != nil {
		return nil, err
	}
	// Safety: addr is the start of n committed bytes that only unmap gives back, so it is a valid foreign pointer.
	p := *(*unsafe.Pointer)(unsafe.Pointer(&addr))
	return unsafe.Slice((*byte)(p), n), nil
}

// discard clears by hand: decommitting pages that a partition has mapped is not allowed.
func discard(p []byte) error {
	clear(p)
	return nil
}

func unmap(mem []byte) error { return windows.VirtualFree(address(mem), 0, windows.MEM_RELEASE) }
