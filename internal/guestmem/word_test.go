package guestmem

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
)

// TestStoreThenLoad is the litmus of notification suppression: of two threads that each store their word and then load
// the other's, at least one sees the other. With plain release stores both can miss, and a queue sleeps for ever.
//
// It goes below Range, whose lease is a full barrier on most hosts and would hide a weak store.
func TestStoreThenLoad(t *testing.T) {
	const rounds = 20_000
	m, err := New([]Region{{Size: PageSize}})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	words := [2]*byte{&m.blocks[0].bytes[0], &m.blocks[0].bytes[256]}
	var turn [2]atomic.Uint32
	var saw [2]uint16
	missed := 0
	meet := func(me int, at uint32) {
		turn[me].Store(at)
		for spins := 1; turn[1-me].Load() < at; spins++ {
			if spins%1000 == 0 {
				runtime.Gosched()
			}
		}
	}
	var wg sync.WaitGroup
	for me := range 2 {
		wg.Go(func() {
			for i := uint32(1); i <= rounds; i++ {
				meet(me, 3*i)
				store16(words[me], uint16(i))
				saw[me] = load16(words[1-me])
				meet(me, 3*i+1)
				if me == 0 && saw[0] != uint16(i) && saw[1] != uint16(i) {
					missed++
				}
				meet(me, 3*i+2)
			}
		})
	}
	wg.Wait()
	if missed != 0 {
		t.Errorf("in %d of %d rounds neither saw the other", missed, rounds)
	}
}
