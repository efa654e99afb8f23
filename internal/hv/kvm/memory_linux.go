//go:build linux && amd64

package kvm

import (
	"fmt"

	"github.com/husk-vm/husk/internal/guestmem"
)

// mapMemory makes every region of RAM a memory slot of the same number, or changes the flags of all slots. A slot is at
// most 8 TiB minus one page: the kernel refuses more.
func (vm *VM) mapMemory(flags uint32) error {
	for i, r := range vm.mem.Regions() {
		slot := userMemoryRegion{
			slot:       uint32(i),
			flags:      flags,
			guestAddr:  uint64(r.Base),
			memorySize: r.Size,
			hostAddr:   uint64(vm.mem.HostAddress(i)),
		}
		if slot.hostAddr == 0 {
			return fmt.Errorf("kvm: map region %v: %w", r, guestmem.ErrClosed)
		}
		if _, err := callWith(vm.fd, setUserMemoryRegion, &slot); err != nil {
			return fmt.Errorf("kvm: map region %v: %w", r, err)
		}
	}
	return nil
}

// SetDirtyLog switches the log of pages that the guest writes on or off. It costs the guest a fault for each page it
// writes first.
func (vm *VM) SetDirtyLog(on bool) error {
	if on {
		return vm.mapMemory(memLogDirtyPages)
	}
	return vm.mapMemory(0)
}

// Dirty returns one bit a page of region i, for the guest's writes since the last call. What devices wrote is not in it:
// see guestmem.Memory.TakeDirty.
func (vm *VM) Dirty(i int) ([]uint64, error) {
	regions := vm.mem.Regions()
	if i < 0 || i >= len(regions) {
		return nil, fmt.Errorf("kvm: dirty log of region %d: there are %d", i, len(regions))
	}
	pages := make([]uint64, (regions[i].Size/guestmem.PageSize+63)/64)
	if err := vm.takeDirty(i, pages); err != nil {
		return nil, fmt.Errorf("kvm: dirty log of region %d: %w", i, err)
	}
	return pages, nil
}
