package vsock

import (
	"sync"
	"time"
)

// deadline is the read or the write deadline of a connection. Its methods need the lock of init.
type deadline struct {
	mu     *sync.Mutex
	cond   *sync.Cond // whom to wake
	at     time.Time
	timer  *time.Timer // made by the first set, then reused
	passed bool
}

func (d *deadline) init(mu *sync.Mutex, cond *sync.Cond) { d.mu, d.cond = mu, cond }

// set makes t the deadline; the zero time is none.
func (d *deadline) set(t time.Time) {
	d.stop()
	d.at, d.passed = t, false
	if t.IsZero() {
		return
	}
	wait := time.Until(t)
	switch {
	case wait <= 0:
		d.passed = true
		d.cond.Broadcast()
	case d.timer == nil:
		d.timer = time.AfterFunc(wait, d.fire)
	default:
		d.timer.Reset(wait)
	}
}

// stop ends the timer. fire may still come once, and then finds no deadline or a later one.
func (d *deadline) stop() {
	d.at = time.Time{}
	if d.timer != nil {
		d.timer.Stop()
	}
}

// fire runs when the timer ends.
func (d *deadline) fire() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.at.IsZero() || d.passed {
		return
	}
	if wait := time.Until(d.at); wait > 0 {
		d.timer.Reset(wait) // the timer of an earlier deadline, or the wall clock was set back
		return
	}
	d.passed = true
	d.cond.Broadcast()
}
