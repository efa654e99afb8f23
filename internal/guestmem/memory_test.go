package guestmem_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"math/big"
	"strings"
	"sync"
	"testing"

	"github.com/husk-vm/husk/internal/guestmem"
)

// gap is a machine's usual shape in miniature: RAM at 0, a hole, RAM above it, and a third region that touches the second.
var gap = []guestmem.Region{
	{Base: 0x10_0000, Size: 0x2000},
	{Base: 0, Size: 0x3000},
	{Base: 0x10_2000, Size: 0x1000},
}

func newMemory(t testing.TB, regions []guestmem.Region) *guestmem.Memory {
	t.Helper()
	m, err := guestmem.New(regions)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

func mustRange(t testing.TB, m *guestmem.Memory, a guestmem.GPA, n uint64) guestmem.Range {
	t.Helper()
	r, err := m.Range(a, n)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestNewRefuses(t *testing.T) {
	for _, tt := range []struct {
		name    string
		regions []guestmem.Region
		want    string
	}{
		{"nothing", nil, "no regions"},
		{"no size", []guestmem.Region{{Base: 0}}, "size is not"},
		{"odd size", []guestmem.Region{{Size: 4095}}, "size is not"},
		{"odd base", []guestmem.Region{{Base: 1, Size: 4096}}, "base is not"},
		{"wraps", []guestmem.Region{{Base: math.MaxUint64 - 4095, Size: 8192}}, "beyond the address space"},
		{"too large", []guestmem.Region{{Size: 1 << 63}}, "larger than"},
		{"same base", []guestmem.Region{{Size: 4096}, {Size: 4096}}, "overlaps"},
		{"overlap by a page", []guestmem.Region{{Base: 0x2000, Size: 0x1000}, {Base: 0, Size: 0x3000}}, "overlaps"},
		{"more than the host maps", []guestmem.Region{{Size: 1 << 62}}, "map"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m, err := guestmem.New(tt.regions)
			if err == nil {
				m.Close()
				t.Fatal("no error")
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %q does not say %q", err, tt.want)
			}
		})
	}
}

func TestRegionsAreSorted(t *testing.T) {
	m := newMemory(t, gap)
	var last guestmem.GPA
	for i, r := range m.Regions() {
		if i > 0 && r.Base <= last {
			t.Errorf("region %d at %#x is not above %#x", i, r.Base, last)
		}
		last = r.Base
		if m.HostAddress(i)%guestmem.PageSize != 0 || m.HostAddress(i) == 0 {
			t.Errorf("region %d is mapped at %#x", i, m.HostAddress(i))
		}
	}
}

// TestTopOfAddressSpace has RAM that ends at 2^64: no end address can be computed for it.
func TestTopOfAddressSpace(t *testing.T) {
	m := newMemory(t, []guestmem.Region{{Base: math.MaxUint64 - 0x1fff, Size: 0x2000}})
	r := mustRange(t, m, math.MaxUint64-7, 8)
	if err := r.Write(0, []byte("12345678")); err != nil {
		t.Error(err)
	}
	for _, n := range []uint64{9, math.MaxUint64} {
		if _, err := m.Range(math.MaxUint64-7, n); !errors.Is(err, guestmem.ErrOutside) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}

// inside is the definition of Range in unlimited arithmetic.
func inside(regions []guestmem.Region, a guestmem.GPA, n uint64) bool {
	sum := func(x, y uint64) *big.Int {
		return new(big.Int).Add(new(big.Int).SetUint64(x), new(big.Int).SetUint64(y))
	}
	end := sum(uint64(a), n)
	for _, r := range regions {
		if a >= r.Base && end.Cmp(sum(uint64(r.Base), r.Size)) <= 0 {
			return true
		}
	}
	return false
}

// edges are the numbers around which range checks go wrong.
func edges(regions []guestmem.Region) []uint64 {
	var out []uint64
	add := func(v uint64) { out = append(out, v-2, v-1, v, v+1, v+2) }
	for _, v := range []uint64{0, 1 << 31, 1 << 32, 1 << 62, 1 << 63} {
		add(v)
	}
	for _, r := range regions {
		add(uint64(r.Base))
		add(r.Size)
		add(-uint64(r.Base))
		add(uint64(r.Base) + r.Size)
		add(-(uint64(r.Base) + r.Size))
	}
	return out
}

func TestRangeAtAllEdges(t *testing.T) {
	m := newMemory(t, gap)
	es := edges(gap)
	good := 0
	for _, a := range es {
		for _, n := range es {
			if checkRange(t, m, gap, guestmem.GPA(a), n) {
				good++
			}
		}
	}
	if good == 0 || good == len(es)*len(es) {
		t.Errorf("%d of %d ranges accepted: the edges test nothing", good, len(es)*len(es))
	}
}

func checkRange(t *testing.T, m *guestmem.Memory, regions []guestmem.Region, a guestmem.GPA, n uint64) bool {
	t.Helper()
	r, err := m.Range(a, n)
	want := inside(regions, a, n)
	if (err == nil) != want {
		t.Fatalf("Range(%#x, %#x): %v, inside: %v", a, n, err, want)
	}
	if err != nil {
		if !errors.Is(err, guestmem.ErrOutside) {
			t.Fatalf("Range(%#x, %#x): %v is not ErrOutside", a, n, err)
		}
		return false
	}
	if r.Addr() != a || r.Len() != n {
		t.Fatalf("Range(%#x, %#x) is %#x+%#x", a, n, r.Addr(), r.Len())
	}
	return true
}

func FuzzRange(f *testing.F) {
	m := newMemory(f, gap)
	es := edges(gap)
	for i := range es {
		f.Add(es[i], es[len(es)-1-i], uint64(i), es[i]/2)
	}
	f.Fuzz(func(t *testing.T, a, n, off, n2 uint64) {
		if !checkRange(t, m, gap, guestmem.GPA(a), n) {
			return
		}
		r := mustRange(t, m, guestmem.GPA(a), n)
		s, err := r.Slice(off, n2)
		if want := off <= n && n2 <= n-off; (err == nil) != want {
			t.Fatalf("%#x+%#x.Slice(%#x, %#x): %v", a, n, off, n2, err)
		}
		if err != nil {
			return
		}
		if s.Addr() != guestmem.GPA(a)+guestmem.GPA(off) || s.Len() != n2 {
			t.Fatalf("slice is %#x+%#x", s.Addr(), s.Len())
		}
		if n2 == 0 {
			return
		}
		// The last byte of s is reachable, the next one is not.
		if err := s.Write(n2-1, []byte{0xa5}); err != nil {
			t.Fatal(err)
		}
		if err := s.Write(n2, []byte{0x5a}); !errors.Is(err, guestmem.ErrOutside) {
			t.Fatalf("write behind the end: %v", err)
		}
		var b [1]byte
		if err := mustRange(t, m, s.Addr()+guestmem.GPA(n2-1), 1).Read(0, b[:]); err != nil || b[0] != 0xa5 {
			t.Fatalf("read back %#x, %v", b, err)
		}
	})
}

func TestCopies(t *testing.T) {
	m := newMemory(t, gap)
	r := mustRange(t, m, 0x10_0ff0, 0x20) // across a page, inside one region
	in := []byte("0123456789abcdefghijklmnopqrstuv")
	if err := r.Write(0, in); err != nil {
		t.Fatal(err)
	}
	out := make([]byte, 16)
	if err := r.Read(8, out); err != nil || !bytes.Equal(out, in[8:24]) {
		t.Errorf("read %q, %v", out, err)
	}
	for _, off := range []uint64{0x11, 0x20, 0x21, math.MaxUint64, math.MaxUint64 - 15} {
		if err := r.Read(off, out); !errors.Is(err, guestmem.ErrOutside) {
			t.Errorf("Read at %#x: %v", off, err)
		}
		if err := r.Write(off, out); !errors.Is(err, guestmem.ErrOutside) {
			t.Errorf("Write at %#x: %v", off, err)
		}
	}
}

func TestZeroRange(t *testing.T) {
	var r guestmem.Range
	if r.Len() != 0 || r.Addr() != 0 {
		t.Errorf("%#x+%#x", r.Addr(), r.Len())
	}
	if err := r.Read(0, nil); err != nil {
		t.Error(err)
	}
	if err := r.Write(0, []byte{1}); !errors.Is(err, guestmem.ErrOutside) {
		t.Error(err)
	}
	if _, err := r.Load16(0); !errors.Is(err, guestmem.ErrOutside) {
		t.Error(err)
	}
	called := false
	if err := r.With(guestmem.ReadWrite, func(p []byte) error { called = len(p) == 0; return nil }); err != nil || !called {
		t.Errorf("With: %v, called %v", err, called)
	}
	if err := r.Discard(); err != nil {
		t.Error(err)
	}
}

func TestWords(t *testing.T) {
	m := newMemory(t, gap)
	r := mustRange(t, m, 0x2002, 12) // two bytes off: alignment counts from the region's base
	if err := r.Store16(0, 0x1234); err != nil {
		t.Fatal(err)
	}
	if err := r.Store16(2, 0xbeef); err != nil {
		t.Fatal(err)
	}
	if err := r.Store32(6, 0xdead_c0de); err != nil {
		t.Fatal(err)
	}
	p := make([]byte, 12)
	if err := r.Read(0, p); err != nil {
		t.Fatal(err)
	}
	if want := []byte{0x34, 0x12, 0xef, 0xbe, 0, 0, 0xde, 0xc0, 0xad, 0xde, 0, 0}; !bytes.Equal(p, want) {
		t.Errorf("bytes % x, want % x", p, want)
	}
	if v, err := r.Load16(2); v != 0xbeef || err != nil {
		t.Errorf("Load16: %#x, %v", v, err)
	}
	if v, err := r.Load32(6); v != 0xdead_c0de || err != nil {
		t.Errorf("Load32: %#x, %v", v, err)
	}
	for _, tt := range []struct {
		name string
		err  func() error
		want error
	}{
		{"load16 odd", func() error { _, err := r.Load16(1); return err }, guestmem.ErrUnaligned},
		{"store16 odd", func() error { return r.Store16(1, 0) }, guestmem.ErrUnaligned},
		{"load32 even", func() error { _, err := r.Load32(4); return err }, guestmem.ErrUnaligned},
		{"store32 even", func() error { return r.Store32(0, 0) }, guestmem.ErrUnaligned},
		{"load16 at the end", func() error { _, err := r.Load16(12); return err }, guestmem.ErrOutside},
		{"load32 half out", func() error { _, err := r.Load32(10); return err }, guestmem.ErrOutside},
		{"store32 far out", func() error { return r.Store32(math.MaxUint64-1, 0) }, guestmem.ErrOutside},
	} {
		if err := tt.err(); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
}

// TestNeighbouringWords hammers two halves of one 32-bit word: a store of one must never undo a store of the other.
func TestNeighbouringWords(t *testing.T) {
	const rounds = 200_000
	r := mustRange(t, newMemory(t, gap), 0, 4)
	var wg sync.WaitGroup
	for half := range uint64(2) {
		wg.Go(func() {
			for i := range rounds {
				if err := r.Store16(half*2, uint16(i)); err != nil {
					t.Error(err)
					return
				}
				if v, err := r.Load16(half * 2); v != uint16(i) || err != nil {
					t.Errorf("half %d: stored %#x, loaded %#x, %v", half, uint16(i), v, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// TestMessagePassing is the ring's litmus: whoever sees the index sees the entry that was written before it.
func TestMessagePassing(t *testing.T) {
	const rounds = 60_000 // fits a 16-bit index without wrapping
	m := newMemory(t, gap)
	entry, index := mustRange(t, m, 0, 8), mustRange(t, m, 0x1000, 2)
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := uint32(1); i <= rounds; i++ {
			_ = entry.Store32(4, i)
			_ = index.Store16(0, uint16(i))
		}
	})
	for seen := uint16(0); seen != rounds; {
		idx, err := index.Load16(0)
		if err != nil {
			t.Fatal(err)
		}
		var p [4]byte // a plain copy, as of a descriptor: it must not be moved above the load of the index
		if err := entry.Read(4, p[:]); err != nil {
			t.Fatal(err)
		}
		if at := binary.LittleEndian.Uint32(p[:]); at < uint32(idx) {
			t.Fatalf("saw index %d, but entry %d", idx, at)
		}
		seen = idx
	}
	wg.Wait()
}

func TestWithIsCheckedAndCapped(t *testing.T) {
	m := newMemory(t, gap)
	r := mustRange(t, m, 0x1ffc, 8)
	boom := errors.New("boom")
	err := r.With(guestmem.ReadWrite, func(p []byte) error {
		if len(p) != 8 || cap(p) != 8 {
			t.Errorf("lent len %d cap %d", len(p), cap(p))
		}
		copy(p, "borrowed")
		return boom
	})
	if !errors.Is(err, boom) {
		t.Errorf("error %v got lost", err)
	}
	p := make([]byte, 8)
	if err := r.Read(0, p); err != nil || string(p) != "borrowed" {
		t.Errorf("%q, %v", p, err)
	}
}

func TestNoAllocations(t *testing.T) {
	m := newMemory(t, gap)
	m.TrackDirty(true)
	r := mustRange(t, m, 0, 64)
	p := make([]byte, 16)
	lend := func(b []byte) error { b[0]++; return nil }
	for name, fn := range map[string]func(){
		"range": func() { _, _ = m.Range(0x10_0000, 64) },
		"read":  func() { _ = r.Read(3, p) },
		"write": func() { _ = r.Write(3, p) },
		"words": func() { v, _ := r.Load16(2); _ = r.Store16(2, v+1); w, _ := r.Load32(4); _ = r.Store32(4, w+1) },
		"with":  func() { _ = r.With(guestmem.ReadWrite, lend) },
	} {
		if n := testing.AllocsPerRun(100, fn); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func TestDiscard(t *testing.T) {
	m := newMemory(t, gap)
	all := mustRange(t, m, 0, 0x3000)
	fill := bytes.Repeat([]byte{0xff}, 0x3000)
	if err := all.Write(0, fill); err != nil {
		t.Fatal(err)
	}
	if err := mustRange(t, m, 0x1000, 0x1000).Discard(); err != nil {
		t.Fatal(err)
	}
	clear(fill[0x1000:0x2000])
	got := make([]byte, 0x3000)
	if err := all.Read(0, got); err != nil || !bytes.Equal(got, fill) {
		t.Errorf("only the middle page must be zero (%v)", err)
	}
	for _, r := range []guestmem.Range{mustRange(t, m, 0x800, 0x1000), mustRange(t, m, 0, 0x800)} {
		if err := r.Discard(); !errors.Is(err, guestmem.ErrUnaligned) {
			t.Errorf("discard %#x+%#x: %v", r.Addr(), r.Len(), err)
		}
	}
}

// BenchmarkWords is what one poll of a ring costs, with and without dirty tracking.
func BenchmarkWords(b *testing.B) {
	m := newMemory(b, gap)
	r := mustRange(b, m, 0, 64)
	b.Run("load16", func(b *testing.B) {
		for b.Loop() {
			_, _ = r.Load16(2)
		}
	})
	b.Run("store16", func(b *testing.B) {
		for b.Loop() {
			_ = r.Store16(2, 1)
		}
	})
	m.TrackDirty(true)
	b.Run("store16 tracked", func(b *testing.B) {
		for b.Loop() {
			_ = r.Store16(2, 1)
		}
	})
	b.Run("with", func(b *testing.B) {
		fn := func([]byte) error { return nil }
		for b.Loop() {
			_ = r.With(guestmem.ReadOnly, fn)
		}
	})
}
