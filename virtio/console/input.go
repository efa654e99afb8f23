package console

import (
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/husk-vm/husk/virtio"
)

const (
	// inputBytes is how much a port reads ahead of its guest: a line of typing and more.
	inputBytes = 4 << 10
	// maxEmptyReads is after how many reads without a byte or an error a reader counts as broken, as in package bufio.
	maxEmptyReads = 100
)

// input is the way from a host's reader to the guest: a pump, a buffer, and the worker of the port's receive queue.
type input struct {
	r     io.Reader // nil: there never is any
	ended func()    // called by the worker when the guest has all there ever will be; no lock held
	count atomic.Uint64

	mu      sync.Mutex
	cond    sync.Cond // L is &mu
	buf     ring      // guarded by mu
	open    bool      // guarded by mu; the guest wants data
	pumping bool      // guarded by mu; the pump exists
	done    bool      // guarded by mu; the reader has ended
	told    bool      // guarded by mu; ended was called since start
	stopped bool      // guarded by mu; the worker shall end
	closed  bool      // guarded by mu; the pump shall end
	pump    sync.WaitGroup
}

func (in *input) init(r io.Reader, ended func()) {
	in.r, in.ended = r, ended
	in.cond.L = &in.mu
	in.buf.limit = inputBytes
	in.done = r == nil
	in.stopped = true
}

// start lets the worker run.
func (in *input) start() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.stopped, in.told = false, false
}

// stop sends the worker home. The guest's next driver has to open the port again.
func (in *input) stop() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.stopped, in.open = true, false
	in.cond.Broadcast()
}

// setOpen says whether the guest has the port open. The pump starts when it first does.
func (in *input) setOpen(open bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.open = open && !in.stopped
	if in.open && !in.pumping && !in.done && !in.closed {
		in.pumping = true
		in.pump.Go(in.run)
	}
	in.cond.Broadcast()
}

// run is the pump: it reads while the guest wants data and there is room.
func (in *input) run() {
	p := make([]byte, inputBytes)
	for empty := 0; ; {
		room, ok := in.waitRoom()
		if !ok {
			return
		}
		n, err := in.r.Read(p[:room])
		if n == 0 && err == nil {
			if empty++; empty == maxEmptyReads {
				err = io.ErrNoProgress
			}
		} else {
			empty = 0
		}
		if !in.arrived(p[:n], err) {
			return
		}
	}
}

// waitRoom waits until something may be read, and says how much at most.
func (in *input) waitRoom() (room int, ok bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	for !in.closed && !(in.open && in.buf.free() > 0) {
		in.cond.Wait()
	}
	return in.buf.free(), !in.closed
}

// arrived takes what was read and reports whether the pump goes on.
func (in *input) arrived(p []byte, err error) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.closed {
		return false
	}
	in.buf.put(p)
	in.done = err != nil
	in.cond.Broadcast()
	return err == nil
}

// take moves data to p.
func (in *input) take(p []byte) int {
	in.mu.Lock()
	defer in.mu.Unlock()
	n := in.buf.take(p)
	in.cond.Broadcast() // there is room
	return n
}

// ready reports whether the worker has something to do. Precondition: mu is held.
func (in *input) ready() bool {
	return in.stopped || in.open && (in.buf.n > 0 || in.done && !in.told)
}

// wait waits until the worker has something to do; false means that it shall end.
func (in *input) wait() bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	for !in.ready() {
		in.cond.Wait()
	}
	return !in.stopped
}

// exhausted reports, once a start, that the reader has ended and the guest has everything.
func (in *input) exhausted() bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.open && in.done && in.buf.n == 0 && !in.told {
		in.told = true
		return true
	}
	return false
}

// work is the worker of the receive queue. It takes a chain only when it has bytes for it.
func (in *input) work(q *virtio.Queue, fail func(error)) {
	p := make([]byte, inputBytes)
	for in.wait() {
		if in.exhausted() {
			in.ended()
			continue
		}
		c, err := q.Pop()
		if err == nil && c != nil {
			err = in.serve(c, p)
			q.Flush()
		}
		if err != nil {
			fail(err)
			return
		}
		if c == nil && !q.Wait() {
			return
		}
	}
}

// serve fills one buffer.
func (in *input) serve(c *virtio.Chain, p []byte) error {
	room := c.Writable()
	if room == 0 {
		c.Release(0)
		return &virtio.GuestError{Op: "console receive buffer", Cause: "no room"}
	}
	n := in.take(p[:min(room, uint64(len(p)))])
	if err := c.WriteAt(p[:n], 0); err != nil {
		c.Release(0)
		return err
	}
	c.Release(uint32(n))
	in.count.Add(uint64(n))
	return nil
}

func (in *input) isOpen() bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.open
}

// close ends the pump. A Read under way is interrupted if the reader has deadlines, as pipes and sockets do; else the
// pump ends when it returns, and what it read is lost.
func (in *input) close() {
	in.mu.Lock()
	in.closed = true
	pumping := in.pumping && !in.done
	in.cond.Broadcast()
	in.mu.Unlock()
	r, ok := in.r.(interface{ SetReadDeadline(time.Time) error })
	if !ok || !pumping || r.SetReadDeadline(time.Unix(1, 0)) != nil {
		return
	}
	in.pump.Wait()
	_ = r.SetReadDeadline(time.Time{}) // it took one before
}
