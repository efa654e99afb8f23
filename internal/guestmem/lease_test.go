package guestmem_test

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/husk-vm/husk/internal/guestmem"
)

func TestCloseWaitsForLeases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, err := guestmem.New(gap)
		if err != nil {
			t.Fatal(err)
		}
		r := mustRange(t, m, 0, 0x3000)
		lent, giveBack := make(chan struct{}), make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() {
			err := r.With(guestmem.ReadWrite, func(p []byte) error {
				close(lent)
				<-giveBack
				p[0] = 1 // still mapped
				// A second lease while Close waits is refused, not a deadlock.
				return r.With(guestmem.ReadOnly, func([]byte) error { return nil })
			})
			if !errors.Is(err, guestmem.ErrClosed) {
				t.Errorf("lease after Close began: %v", err)
			}
		})
		<-lent
		var closed atomic.Bool
		wg.Go(func() {
			if err := m.Close(); err != nil {
				t.Error(err)
			}
			closed.Store(true)
		})
		synctest.Wait() // everyone is blocked
		if closed.Load() {
			t.Error("Close did not wait")
		}
		close(giveBack)
		wg.Wait()
		if err := m.Close(); err != nil {
			t.Errorf("second Close: %v", err)
		}
	})
}

func TestEverythingFailsAfterClose(t *testing.T) {
	m, err := guestmem.New(gap)
	if err != nil {
		t.Fatal(err)
	}
	r := mustRange(t, m, 0, 0x1000)
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	for name, fn := range map[string]func() error{
		"read":    func() error { return r.Read(0, make([]byte, 1)) },
		"write":   func() error { return r.Write(0, make([]byte, 1)) },
		"load16":  func() error { _, err := r.Load16(0); return err },
		"load32":  func() error { _, err := r.Load32(0); return err },
		"store16": func() error { return r.Store16(0, 0) },
		"store32": func() error { return r.Store32(0, 0) },
		"with":    func() error { return r.With(guestmem.ReadOnly, func([]byte) error { return nil }) },
		"discard": r.Discard,
	} {
		if err := fn(); !errors.Is(err, guestmem.ErrClosed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if a := m.HostAddress(0); a != 0 {
		t.Errorf("host address %#x", a)
	}
}

// TestPanicGivesTheLeaseBack: a worker that dies while it borrows must not make Close wait for ever.
func TestPanicGivesTheLeaseBack(t *testing.T) {
	m, err := guestmem.New(gap)
	if err != nil {
		t.Fatal(err)
	}
	r := mustRange(t, m, 0, 0x1000)
	func() {
		defer func() { _ = recover() }()
		_ = r.With(guestmem.ReadOnly, func([]byte) error { panic("worker") })
	}()
	if err := m.Close(); err != nil {
		t.Error(err)
	}
}

// TestCloseHammer closes under load. Touching unmapped memory would be a fault that no test survives.
func TestCloseHammer(t *testing.T) {
	for range 50 {
		m, err := guestmem.New(gap)
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		started := make(chan struct{}, 4)
		for i := range 4 {
			r := mustRange(t, m, guestmem.GPA(i*0x400), 0x1000)
			wg.Go(func() {
				started <- struct{}{}
				p := make([]byte, 64)
				for {
					err := errors.Join(r.Write(0, p), r.Store16(2, 1),
						r.With(guestmem.ReadWrite, func(p []byte) error { p[0x3ff]++; return nil }))
					if errors.Is(err, guestmem.ErrClosed) {
						return
					}
					if err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		<-started
		wg.Go(func() { _ = m.Close() })
		if err := m.Close(); err != nil {
			t.Error(err)
		}
		wg.Wait()
	}
}
