//go:build linux && amd64

package kvm

import "structs"

// The kernel's structures that all architectures share [KVM-API §4]. A test holds sizes and offsets against the C headers.

// userMemoryRegion is struct kvm_userspace_memory_region.
type userMemoryRegion struct {
	_          structs.HostLayout
	slot       uint32
	flags      uint32
	guestAddr  uint64
	memorySize uint64
	hostAddr   uint64
}

const memLogDirtyPages = 1 << 0 // KVM_MEM_LOG_DIRTY_PAGES

// enableCapArgs is struct kvm_enable_cap.
type enableCapArgs struct {
	_     structs.HostLayout
	cap   uint32
	flags uint32
	args  [4]uint64
	_     [64]byte
}

// ioEvent is struct kvm_ioeventfd.
type ioEvent struct {
	_         structs.HostLayout
	datamatch uint64
	addr      uint64
	len       uint32 // 0: any
	fd        int32
	flags     uint32
	_         [36]byte
}

const ioEventDeassign = 1 << 2 // KVM_IOEVENTFD_FLAG_DEASSIGN

// coalescedZone is struct kvm_coalesced_mmio_zone.
type coalescedZone struct {
	_    structs.HostLayout
	addr uint64
	size uint32
	pio  uint32 // 1: of ports
}

// msi is struct kvm_msi.
type msi struct {
	_         structs.HostLayout
	addressLo uint32
	addressHi uint32
	data      uint32
	flags     uint32
	devid     uint32
	_         [12]byte
}

// dirtyLog is struct kvm_dirty_log.
type dirtyLog struct {
	_      structs.HostLayout
	slot   uint32
	_      uint32
	bitmap uint64 // the address of one bit a page, rounded up to whole 64-bit words
}
