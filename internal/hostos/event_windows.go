package hostos

import (
	"fmt"
	"sync/atomic"

	"golang.org/x/sys/windows"
)

// Event wakes one thread. Rings before Wait are remembered; many may count as one. It is an auto-reset event object.
type Event struct {
	handle windows.Handle
	users  atomic.Int64 // calls under way, + fdClosed once Close was called
}

// NewEvent makes an event that is not set.
func NewEvent() (*Event, error) {
	h, err := windows.CreateEvent(nil, 0, 0, nil)
	if err != nil {
		return nil, fmt.Errorf("hostos: event: %w", err)
	}
	return &Event{handle: h}, nil
}

func (e *Event) enter() bool {
	for {
		n := e.users.Load()
		if n >= fdClosed {
			return false
		}
		if e.users.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

func (e *Event) leave() {
	if e.users.Add(-1) == fdClosed {
		_ = windows.CloseHandle(e.handle)
	}
}

// Ring sets the event. Any goroutine; it does not block. After Close it does nothing.
func (e *Event) Ring() {
	if e.enter() {
		_ = windows.SetEvent(e.handle)
		e.leave()
	}
}

// Wait blocks the calling thread until the event is set, clears it and returns true. After Close it returns false, at
// once and for ever. One goroutine only.
func (e *Event) Wait() bool {
	if !e.enter() {
		return false
	}
	defer e.leave()
	s, err := windows.WaitForSingleObject(e.handle, windows.INFINITE)
	return err == nil && s == windows.WAIT_OBJECT_0 && e.users.Load() < fdClosed
}

// Close wakes the waiter for good. It may be called twice. The object goes when no Wait runs.
func (e *Event) Close() error {
	if !e.enter() {
		return nil
	}
	for n := e.users.Load(); n < fdClosed; n = e.users.Load() {
		if e.users.CompareAndSwap(n, n+fdClosed) {
			_ = windows.SetEvent(e.handle)
		}
	}
	e.leave()
	return nil
}
