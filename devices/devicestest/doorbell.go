package devicestest

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/husk-vm/husk/devices"
)

// patience is how long a wait that must end may take. It is long because only broken code ever waits for it.
const patience = 30 * time.Second

// Doorbell holds implementations of devices.Doorbell to their contract. Each subtest makes its own doorbells.
func Doorbell(t *testing.T, make func(t *testing.T) devices.Doorbell) {
	t.Run("a ring before Wait is remembered", func(t *testing.T) {
		d := make(t)
		defer d.Close()
		d.Ring()
		if !within(t, d.Wait) {
			t.Fatal("Wait = false on an open doorbell")
		}
	})
	t.Run("many rings before Wait are one or more, and never lost", func(t *testing.T) {
		d := make(t)
		defer d.Close()
		for range 1000 {
			d.Ring()
		}
		if !within(t, d.Wait) {
			t.Fatal("Wait = false on an open doorbell")
		}
	})
	t.Run("Wait clears the event", func(t *testing.T) { waitClears(t, make(t)) })
	t.Run("a ring wakes the waiter", func(t *testing.T) {
		d := make(t)
		defer d.Close()
		done := async(d.Wait)
		d.Ring()
		if !receive(t, done) {
			t.Fatal("Wait = false on an open doorbell")
		}
	})
	t.Run("Close wakes the waiter for good", func(t *testing.T) {
		d := make(t)
		done := async(d.Wait)
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
		if receive(t, done) {
			t.Fatal("Wait = true without a ring")
		}
		for range 2 {
			if within(t, d.Wait) {
				t.Fatal("Wait = true after Close")
			}
		}
	})
	t.Run("Close beats a ring", func(t *testing.T) {
		for range 64 { // an implementation that picks at random passes once, not 64 times
			d := make(t)
			d.Ring()
			if err := d.Close(); err != nil {
				t.Fatal(err)
			}
			if within(t, d.Wait) {
				t.Fatal("Wait = true after Close")
			}
		}
	})
	t.Run("Close twice, Ring after Close", func(t *testing.T) {
		d := make(t)
		for range 2 {
			if err := d.Close(); err != nil {
				t.Fatal(err)
			}
			d.Ring()
		}
		if within(t, d.Wait) {
			t.Fatal("Wait = true after Close")
		}
	})
	t.Run("no work is lost", func(t *testing.T) { noneLost(t, make(t)) })
	t.Run("Ring allocates nothing", func(t *testing.T) {
		d := make(t)
		defer d.Close()
		if n := testing.AllocsPerRun(100, func() { d.Ring(); d.Wait() }); n != 0 {
			t.Fatalf("Ring and Wait allocate %v times", n)
		}
	})
}

// waitClears shows, without waiting for silence, that one ring ends one Wait only: the second Wait returns because of
// Close, so it must say false.
func waitClears(t *testing.T, d devices.Doorbell) {
	d.Ring()
	if !within(t, d.Wait) {
		t.Fatal("Wait = false on an open doorbell")
	}
	second := async(d.Wait)
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if receive(t, second) {
		t.Fatal("one ring ended two Waits")
	}
}

// noneLost has several producers publish work and ring, and one consumer that may sleep only when all of it was seen.
func noneLost(t *testing.T, d devices.Doorbell) {
	const producers, each = 4, 2000
	var work atomic.Int64
	var all sync.WaitGroup
	for range producers {
		all.Go(func() {
			for range each {
				work.Add(1)
				d.Ring()
			}
		})
	}
	consumed := async(func() bool {
		for seen := int64(0); seen < producers*each; seen += work.Swap(0) {
			if !d.Wait() {
				return false
			}
		}
		return true
	})
	if !receive(t, consumed) {
		t.Fatal("Wait = false on an open doorbell")
	}
	all.Wait()
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
}

// within calls fn and fails the test if it does not return.
func within(t *testing.T, fn func() bool) bool {
	t.Helper()
	return receive(t, async(fn))
}

func async(fn func() bool) <-chan bool {
	c := make(chan bool, 1)
	go func() { c <- fn() }()
	return c
}

func receive(t *testing.T, c <-chan bool) bool {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatal("Wait did not return")
		return false
	}
}
