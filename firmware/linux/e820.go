package linux

import (
	"cmp"
	"fmt"
	"slices"
)

// MemType is the type of a range in the memory map, with the numbers of ACPI's address range types
// [ACPI §15.1 table 15.1]. The zero page and PVH share them.
type MemType uint32

// The types of memory.
const (
	MemRAM      MemType = 1
	MemReserved MemType = 2
	MemACPI     MemType = 3 // tables the kernel may overwrite once it has read them
	MemNVS      MemType = 4 // must be kept across sleep
	MemUnusable MemType = 5
)

// MemRange is one entry of the memory map that the kernel is given.
type MemRange struct {
	Region
	Type MemType
}

const (
	// maxRegions bounds the RAM and the reserved regions of Params, each: no machine of ours has more than a handful. n
	// reserved regions cut the legacy area into at most n+1 parts, and with them RAM into at most n+n+(n+1): 5n+2
	// entries, which stays below what the zero page holds.
	maxRegions = 24
	// e820Max is the length of boot_params.e820_table [LINUX-BOOT "zero page"]. Linux's PVH entry adds one of its own
	// (linux arch/x86/platform/pvh/enlighten.c).
	e820Max = 128
)

// memoryMap makes the kernel's view of memory: RAM without what is reserved. The PC's legacy area is always reserved
// where the caller does not say otherwise.
func memoryMap(p *Params) (ranges []MemRange, ram regions, err error) {
	if len(p.RAM) > maxRegions || len(p.Reserved) > maxRegions {
		return nil, nil, fmt.Errorf("linux: %w: more than %d RAM or reserved regions", ErrBadParams, maxRegions)
	}
	ram, err = newRegions("RAM", p.RAM)
	if err != nil {
		return nil, nil, err
	}
	legacy := regions{{legacyBase, legacyEnd - legacyBase}}
	asked := make([]Region, 0, len(p.Reserved))
	for _, r := range p.Reserved {
		if r.Type < MemReserved || r.Type > MemUnusable {
			return nil, nil, fmt.Errorf("linux: %w: reserved region %v has memory type %d", ErrBadParams, r.Region, r.Type)
		}
		asked = append(asked, r.Region)
		ranges = append(ranges, r)
	}
	if _, err = newRegions("reserved region", asked); err != nil {
		return nil, nil, err
	}
	for _, r := range asked {
		ram, legacy = ram.without(r), legacy.without(r)
	}
	for _, r := range legacy {
		ram = ram.without(r)
		ranges = append(ranges, MemRange{r, MemReserved})
	}
	for _, r := range ram {
		ranges = append(ranges, MemRange{r, MemRAM})
	}
	slices.SortFunc(ranges, func(a, b MemRange) int { return cmp.Compare(a.Base, b.Base) })
	if len(ranges) >= e820Max {
		panic("BUG: linux: maxRegions allows a memory map larger than the zero page's")
	}
	return ranges, ram, nil
}
