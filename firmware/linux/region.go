package linux

import (
	"cmp"
	"fmt"
	"slices"
)

// Region is a range of guest-physical addresses, in bytes.
type Region struct {
	Base, Size uint64
}

// End is the first address after the region.
func (r Region) End() uint64 { return r.Base + r.Size }

func (r Region) String() string { return fmt.Sprintf("[%#x-%#x)", r.Base, r.End()) }

// contains reports whether all of o lies in r.
func (r Region) contains(o Region) bool {
	return o.Base >= r.Base && o.Size <= r.Size && o.Base-r.Base <= r.Size-o.Size
}

// overlaps reports whether r and o share a byte.
func (r Region) overlaps(o Region) bool { return r.Base < o.End() && o.Base < r.End() }

// maxPhys is the end of what an x86-64 CPU can address physically [SDM vol. 3A §4.1.4]. Regions that stay below it
// cannot wrap around.
const maxPhys = 1 << 52

// valid reports whether r has a size and lies below maxPhys.
func (r Region) valid() bool {
	return r.Size > 0 && r.Size <= maxPhys && r.Base <= maxPhys-r.Size
}

// regions are sorted by address, disjoint, and never adjacent.
type regions []Region

// newRegions sorts rs, merges neighbours and refuses overlaps.
func newRegions(what string, rs []Region) (regions, error) {
	sorted := slices.SortedFunc(slices.Values(rs), func(a, b Region) int { return cmp.Compare(a.Base, b.Base) })
	var out regions
	for i, r := range sorted {
		if !r.valid() {
			return nil, fmt.Errorf("linux: %w: %s %v is empty or ends above the address space", ErrBadParams, what, r)
		}
		if i > 0 && r.overlaps(sorted[i-1]) {
			return nil, fmt.Errorf("linux: %w: %s %v overlaps %v", ErrBadParams, what, r, sorted[i-1])
		}
		if n := len(out); n > 0 && out[n-1].End() == r.Base {
			out[n-1].Size += r.Size
		} else {
			out = append(out, r)
		}
	}
	return out, nil
}

// without returns rs minus hole.
func (rs regions) without(hole Region) regions {
	out := make(regions, 0, len(rs)+1)
	for _, r := range rs {
		if !r.overlaps(hole) {
			out = append(out, r)
			continue
		}
		if r.Base < hole.Base {
			out = append(out, Region{r.Base, hole.Base - r.Base})
		}
		if r.End() > hole.End() {
			out = append(out, Region{hole.End(), r.End() - hole.End()})
		}
	}
	return out
}

// contains reports whether all of o lies in one of rs.
func (rs regions) contains(o Region) bool {
	return slices.ContainsFunc(rs, func(r Region) bool { return r.contains(o) })
}

// lowest finds the lowest multiple of align that is at least from and has size free bytes ending at or below end.
// Preconditions: align is a power of two, from+align and end are below 1<<63.
func (rs regions) lowest(size, align, from, end uint64) (uint64, bool) {
	for _, r := range rs {
		base := (max(r.Base, from) + align - 1) &^ (align - 1)
		top := min(r.End(), end)
		if base < top && size <= top-base {
			return base, true
		}
	}
	return 0, false
}

// highest finds the highest multiple of align that has size free bytes ending at or below end.
// Precondition: align is a power of two.
func (rs regions) highest(size, align, end uint64) (uint64, bool) {
	for _, r := range slices.Backward(rs) {
		top := min(r.End(), end)
		if top < size {
			continue
		}
		if base := (top - size) &^ (align - 1); base >= r.Base && base < top {
			return base, true
		}
	}
	return 0, false
}
