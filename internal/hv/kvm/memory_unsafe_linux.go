//go:build linux && amd64

package kvm

import (
	"runtime"
	"unsafe"
)

// takeDirty is KVM_GET_DIRTY_LOG: it fills pages and clears the kernel's bits.
func (vm *VM) takeDirty(slot int, pages []uint64) error {
	// Safety: pages is on the heap, which does not move; it has a bit for every page of the slot, rounded up to 64 as the
	// kernel does, and KeepAlive holds it until the kernel has written it.
	log := dirtyLog{slot: uint32(slot), bitmap: uint64(uintptr(unsafe.Pointer(unsafe.SliceData(pages))))}
	_, err := callWith(vm.fd, getDirtyLog, &log)
	runtime.KeepAlive(pages)
	return err
}
