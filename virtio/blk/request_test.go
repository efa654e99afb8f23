package blk

import (
	"math"
	"testing"
)

func TestSpan(t *testing.T) {
	const last = math.MaxInt64 / SectorBytes
	for _, c := range []struct {
		sector, n, capacity uint64
		ok                  bool
	}{
		{0, 0, 0, true},
		{0, 512, 0, false},
		{0, 512, 1, true},
		{1, 0, 1, true},
		{1, 512, 1, false},
		{2, 0, 1, false},
		{0, 511, 8, false},
		{0, 513, 8, false},
		{7, 512, 8, true},
		{7, 1024, 8, false},
		{math.MaxUint64, 512, 8, false},
		{math.MaxUint64 - 1, 1024, 8, false},
		{1 << 55, 512, 8, false}, // times 512 wraps to 0
		{1, math.MaxUint64 &^ 511, 8, false},
		{last - 1, 512, last, true},
		{last, 512, last, false},
		{math.MaxUint64, math.MaxUint64 &^ 511, last, false},
	} {
		off, ok := span(c.sector, c.n, c.capacity)
		if ok != c.ok || ok && (off < 0 || uint64(off) != c.sector*SectorBytes) {
			t.Errorf("span(%d, %d, %d) = %d, %v", c.sector, c.n, c.capacity, off, ok)
		}
	}
}

// FuzzSpan compares with arithmetic that cannot wrap.
func FuzzSpan(f *testing.F) {
	f.Add(uint64(1)<<55, uint64(512), uint64(8))
	f.Fuzz(func(t *testing.T, sector, n, capacity uint64) {
		capacity %= math.MaxInt64/SectorBytes + 1
		off, ok := span(sector, n, capacity)
		want := n%SectorBytes == 0 && sector <= capacity && n <= capacity*SectorBytes && sector*SectorBytes+n <= capacity*SectorBytes
		if ok != want || ok && uint64(off) != sector*SectorBytes {
			t.Fatalf("span(%d, %d, %d) = %d, %v", sector, n, capacity, off, ok)
		}
	})
}
