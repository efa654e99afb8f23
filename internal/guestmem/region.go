package guestmem

import (
	"fmt"
	"math"
	"slices"
)

// GPA is a guest-physical address, in bytes.
type GPA uint64

// PageSize is the granularity of dirty tracking and of the regions, in bytes.
const PageSize = 4096

// Region is one piece of guest-physical address space that is RAM.
type Region struct {
	Base GPA    // a multiple of PageSize
	Size uint64 // bytes, a multiple of PageSize, not zero
}

// last is the address of the region's last byte. Ends are not computed: the end of the topmost region is 2^64.
func (r Region) last() GPA { return r.Base + GPA(r.Size-1) }

func (r Region) String() string { return fmt.Sprintf("%#x+%#x", uint64(r.Base), r.Size) }

// checkRegions returns the regions in ascending order, or why they cannot be the RAM of a machine.
func checkRegions(in []Region) ([]Region, error) {
	if len(in) == 0 {
		return nil, fmt.Errorf("guestmem: no regions")
	}
	regions := slices.Clone(in)
	slices.SortFunc(regions, func(a, b Region) int {
		if a.Base < b.Base {
			return -1
		}
		return 1
	})
	for i, r := range regions {
		switch {
		case r.Size == 0 || r.Size%PageSize != 0:
			return nil, fmt.Errorf("guestmem: region %v: size is not a positive multiple of %d", r, PageSize)
		case r.Base%PageSize != 0:
			return nil, fmt.Errorf("guestmem: region %v: base is not a multiple of %d", r, PageSize)
		case r.last() < r.Base:
			return nil, fmt.Errorf("guestmem: region %v: ends beyond the address space", r)
		case r.Size > math.MaxInt:
			return nil, fmt.Errorf("guestmem: region %v: larger than this host can address", r)
		case i > 0 && r.Base <= regions[i-1].last():
			return nil, fmt.Errorf("guestmem: region %v: overlaps %v", r, regions[i-1])
		}
	}
	return regions, nil
}
