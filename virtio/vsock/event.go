package vsock

import (
	"strconv"
	"sync"

	"github.com/husk-vm/husk/virtio"
)

// events is the mailbox of the event worker. There is one event, so a flag is the whole queue.
type events struct {
	mu      sync.Mutex
	cond    sync.Cond // L is &mu
	owed    bool      // guarded by mu; a TRANSPORT_RESET shall be sent; survives stop
	stopped bool      // guarded by mu
}

func (e *events) init() { e.cond.L = &e.mu }

func (e *events) start() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.stopped = false
}

func (e *events) stop() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.stopped = true
	e.cond.Broadcast()
}

func (e *events) set(owed bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.owed = owed
	e.cond.Broadcast()
}

func (e *events) get() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.owed
}

// wait blocks until an event is owed; false means stop.
func (e *events) wait() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	for !e.owed && !e.stopped {
		e.cond.Wait()
	}
	return !e.stopped
}

// eventWorker tells the driver of events [VIRTIO §5.10.6.7].
type eventWorker struct {
	d    *Device
	q    *virtio.Queue
	fail func(error)
}

func (w *eventWorker) run() {
	for {
		if !w.d.events.wait() || !w.d.gate.enter() {
			return
		}
		chain, err := w.step()
		w.d.gate.leave(w.q)
		switch {
		case err != nil:
			w.d.broken(w.fail, err)
			return
		case chain:
			w.q.Flush()
		case !w.q.Wait():
			return
		}
	}
}

// step sends the event, if the guest has given a buffer.
func (w *eventWorker) step() (chain bool, err error) {
	c, err := w.q.Pop()
	if c == nil || err != nil {
		return false, err
	}
	if c.Writable() < uint64(len(eventTransportReset)) {
		n := c.Writable()
		c.Release(0)
		return true, guestError("event buffer", "of "+strconv.FormatUint(n, 10)+" bytes")
	}
	if err := c.WriteAt(eventTransportReset[:], 0); err != nil {
		c.Release(0)
		return true, err
	}
	c.Release(uint32(len(eventTransportReset)))
	w.d.events.set(false)
	return true, nil
}
