package console

import (
	"context"
	"io"
	"sync"
	"sync/atomic"

	"github.com/husk-vm/husk/virtio"
)

const (
	// outputBytes is how much of a guest's output waits for a slow writer.
	outputBytes = 64 << 10
	// outputRoom is how much must be free before the worker takes a chain: as much as Linux puts into one
	// (port_fops_write in drivers/char/virtio_console.c). So it normally holds no chain while it waits for the host.
	outputRoom = 32 << 10
)

// output is the way from the guest to a host's writer: the worker of the port's transmit queue, a buffer, and a pump.
type output struct {
	w      io.Writer     // nil: all is thrown away
	failed func(error)   // called by the pump when the writer fails; no lock held
	count  atomic.Uint64 // bytes written
	lost   atomic.Uint64 // bytes thrown away

	mu      sync.Mutex
	cond    sync.Cond // L is &mu
	buf     ring      // guarded by mu
	pumping bool      // guarded by mu; the pump exists
	broken  bool      // guarded by mu; there is no writer, it failed, or close was called
	stopped bool      // guarded by mu; the worker shall end
}

func (o *output) init(w io.Writer, failed func(error)) {
	o.w, o.failed = w, failed
	o.cond.L = &o.mu
	o.buf.limit = outputBytes
	o.broken = w == nil
	o.stopped = true
}

// start lets the worker run; stop sends it home.
func (o *output) start() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.stopped = false
}

func (o *output) stop() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.stopped = true
	o.cond.Broadcast()
}

// offer appends what fits of p and returns how much that was. A broken output takes everything.
func (o *output) offer(p []byte) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.broken {
		o.lost.Add(uint64(len(p)))
		return len(p)
	}
	n := o.buf.put(p)
	if n > 0 && !o.pumping {
		o.pumping = true
		go o.run() // ends after close, when a Write under way returns: nothing can interrupt that
	}
	o.cond.Broadcast()
	return n
}

// waitRoom waits until n bytes fit, n at most outputBytes; false means that the worker shall end.
func (o *output) waitRoom(n int) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	for !o.stopped && !o.broken && o.buf.free() < n {
		o.cond.Wait()
	}
	return !o.stopped
}

// run is the pump.
func (o *output) run() {
	for {
		p, ok := o.waitData()
		if !ok {
			return
		}
		n, err := o.w.Write(p) // the buffer does not touch p before skip
		if n < len(p) && err == nil {
			err = io.ErrShortWrite
		}
		if !o.wrote(min(max(n, 0), len(p)), err) {
			return
		}
	}
}

func (o *output) waitData() ([]byte, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for o.buf.n == 0 && !o.broken {
		o.cond.Wait()
	}
	return o.buf.peek(), !o.broken
}

// wrote notes the result of a Write and reports whether the pump goes on.
func (o *output) wrote(n int, err error) bool {
	o.count.Add(uint64(n))
	o.mu.Lock()
	o.buf.skip(n)
	if err != nil {
		o.breakUp()
	}
	broken := o.broken
	o.cond.Broadcast()
	o.mu.Unlock()
	if err != nil {
		o.failed(err)
	}
	return !broken
}

// breakUp throws away what is buffered, and from now on everything. Precondition: mu is held.
func (o *output) breakUp() {
	o.broken = true
	o.lost.Add(uint64(o.buf.n))
	o.buf.skip(o.buf.n)
	o.cond.Broadcast()
}

// close ends the pump: no Write starts any more.
func (o *output) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.broken = true
	o.cond.Broadcast()
}

// drain waits until all bytes are written or thrown away.
func (o *output) drain(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.cond.Broadcast()
	})
	defer stop()
	o.mu.Lock()
	defer o.mu.Unlock()
	for o.buf.n > 0 && !o.broken && ctx.Err() == nil {
		o.cond.Wait()
	}
	if o.buf.n > 0 && !o.broken {
		return context.Cause(ctx)
	}
	return nil
}

// work is the worker of the transmit queue.
func (o *output) work(q *virtio.Queue, fail func(error)) {
	p := make([]byte, inputBytes)
	for o.waitRoom(outputRoom) {
		c, err := q.Pop()
		if err == nil && c != nil {
			err = o.serve(c, p)
			c.Release(0)
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

// serve takes the bytes of one chain. It waits for room if they are many; the rest is lost if the worker shall end.
func (o *output) serve(c *virtio.Chain, p []byte) error {
	total := c.Readable()
	for off := uint64(0); off < total; {
		n := int(min(total-off, uint64(len(p))))
		if err := c.ReadAt(p[:n], off); err != nil {
			return err
		}
		off += uint64(n)
		for rest := p[:n]; len(rest) > 0; {
			rest = rest[o.offer(rest):]
			if len(rest) > 0 && !o.waitRoom(1) {
				o.lost.Add(uint64(len(rest)) + total - off)
				return nil
			}
		}
	}
	return nil
}
