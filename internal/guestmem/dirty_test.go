package guestmem_test

import (
	"math/bits"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/husk-vm/husk/internal/guestmem"
)

func TestDirtyOffCostsNothingAndSaysNothing(t *testing.T) {
	m := newMemory(t, gap)
	if err := mustRange(t, m, 0, 1).Write(0, []byte{1}); err != nil {
		t.Fatal(err)
	}
	if got := m.TakeDirty(0); got != nil {
		t.Errorf("%v while off", got)
	}
	m.TrackDirty(true)
	if got := m.TakeDirty(0); !slices.Equal(got, []uint64{0}) {
		t.Errorf("%v just after switching on", got)
	}
	m.TrackDirty(false)
	if got := m.TakeDirty(0); got != nil {
		t.Errorf("%v after switching off", got)
	}
}

// TestDirtyMarks compares every kind of write at random places with a bitmap computed a byte at a time.
func TestDirtyMarks(t *testing.T) {
	const pages = 200 // more than three words
	m := newMemory(t, []guestmem.Region{{Base: 0x1000, Size: pages * guestmem.PageSize}})
	m.TrackDirty(true)
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		off := rnd.Uint64N(pages * guestmem.PageSize)
		n := min(rnd.Uint64N(70*guestmem.PageSize), pages*guestmem.PageSize-off)
		r := mustRange(t, m, guestmem.GPA(0x1000+off), n)
		var err error
		wrote := n
		switch rnd.IntN(5) {
		case 0:
			err = r.Write(0, make([]byte, n))
		case 1:
			err = r.With(guestmem.ReadWrite, func([]byte) error { return nil })
		case 2:
			err, wrote = r.With(guestmem.ReadOnly, func([]byte) error { return nil }), 0
		case 3:
			if wrote = 2; n < 2 || off%2 != 0 {
				continue
			}
			err = r.Store16(0, 1)
		case 4:
			if wrote = 4; n < 4 || off%4 != 0 {
				continue
			}
			err = r.Store32(0, 1)
		}
		if err != nil {
			t.Fatal(err)
		}
		want := make([]uint64, (pages+63)/64)
		for p := off / guestmem.PageSize; wrote > 0 && p <= (off+wrote-1)/guestmem.PageSize; p++ {
			want[p/64] |= 1 << (p % 64)
		}
		if got := m.TakeDirty(0); !slices.Equal(got, want) {
			t.Fatalf("%d bytes at %#x: %x, want %x", wrote, off, got, want)
		}
	}
}

// TestDirtyHammer has writers and a taker: every page written after the last take is in the last take.
func TestDirtyHammer(t *testing.T) {
	const pages, writers = 128, 4
	m := newMemory(t, []guestmem.Region{{Size: pages * guestmem.PageSize}})
	m.TrackDirty(true)
	var wg sync.WaitGroup
	done := make(chan struct{})
	taken := make([]uint64, pages/64)
	var taker sync.WaitGroup
	taker.Go(func() {
		for {
			for i, w := range m.TakeDirty(0) {
				taken[i] |= w
			}
			select {
			case <-done:
				return
			default:
			}
		}
	})
	for w := range writers {
		wg.Go(func() {
			for p := w; p < pages; p += writers {
				if err := mustRange(t, m, guestmem.GPA(p*guestmem.PageSize), 2).Store16(0, 1); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	close(done)
	taker.Wait()
	got := 0
	for i, w := range m.TakeDirty(0) {
		got += bits.OnesCount64(w | taken[i])
	}
	if got != pages {
		t.Errorf("%d of %d pages seen", got, pages)
	}
}
