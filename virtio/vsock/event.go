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
	fail func(error)
}

func (w *eventWorker) run(q *virtio.Queue) {
	for w.d.events.wait() {
		c, err := q.Pop()
		if err == nil && c != nil {
			err = w.serve(c)
			q.Flush()
		}
		if err != nil {
			w.fail(err)
			return
		}
		if c == nil && !q.Wait() {
			return
		}
	}
}

// serve sends the event.
func (w *eventWorker) serve(c *virtio.Chain) error {
	if n := c.Writable(); n < uint64(len(eventTransportReset)) {
		c.Release(0)
		return guestError("event buffer", "of "+strconv.FormatUint(n, 10)+" bytes")
	}
	err := c.WriteAt(eventTransportReset[:], 0)
	if err != nil {
		c.Release(0)
		return err
	}
	w.d.events.set(false)
	c.Release(uint32(len(eventTransportReset)))
	return nil
}
