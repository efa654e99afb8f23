package hostos

import (
	"errors"
	"runtime"
	"sync"
	"testing"
)

func newEvent(t testing.TB) *Event {
	t.Helper()
	e, err := NewEvent()
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestEventRemembersRings(t *testing.T) {
	e := newEvent(t)
	defer e.Close()
	for range 3 {
		e.Ring()
		e.Ring()
		if !e.Wait() {
			t.Fatal("closed")
		}
	}
	// Nothing is left of the rings: the next one is what wakes the next Wait.
	woke := make(chan struct{})
	go func() { e.Wait(); close(woke) }()
	runtime.Gosched()
	select {
	case <-woke:
		t.Error("woken by nobody")
	default:
	}
	e.Ring()
	<-woke
}

func TestEventClose(t *testing.T) {
	e := newEvent(t)
	e.Ring()
	for range 2 {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	}
	for range 2 {
		if e.Wait() {
			t.Error("closed, and yet it rang")
		}
	}
	e.Ring()
}

// TestEventHammer closes events while they ring and someone waits. The waiter must come out, whatever the order.
func TestEventHammer(t *testing.T) {
	for range 300 {
		e := newEvent(t)
		var wg sync.WaitGroup
		wg.Go(func() {
			runtime.LockOSThread() // as a worker does
			defer runtime.UnlockOSThread()
			for e.Wait() {
			}
		})
		for range 2 {
			wg.Go(func() {
				for range 20 {
					e.Ring()
				}
			})
		}
		for range 2 {
			wg.Go(func() {
				if err := e.Close(); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	}
}

func BenchmarkEvent(b *testing.B) {
	ping, pong := newEvent(b), newEvent(b)
	var wg sync.WaitGroup
	wg.Go(func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		for ping.Wait() {
			pong.Ring()
		}
	})
	b.Run("ring", func(b *testing.B) {
		b.ReportAllocs()
		e := newEvent(b)
		defer e.Close()
		for b.Loop() {
			e.Ring()
		}
	})
	b.Run("round trip", func(b *testing.B) {
		b.ReportAllocs()
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		for b.Loop() {
			ping.Ring()
			pong.Wait()
		}
	})
	ping.Close()
	pong.Close()
	wg.Wait()
}
