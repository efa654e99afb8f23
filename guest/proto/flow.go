package proto

import (
	"io"
	"sync"
)

// Credit is the sender's side of a stream's window. Wait and Spend are for one goroutine; the others for any.
type Credit struct {
	mu     sync.Mutex
	cond   sync.Cond
	n      int  // guarded by mu: bytes that may be sent
	closed bool // guarded by mu
}

// NewCredit returns a Credit of a full window.
func NewCredit() *Credit {
	c := &Credit{n: Window}
	c.cond.L = &c.mu
	return c
}

// Wait returns how many bytes may be sent now, at most bound. It waits for the first; false means that the stream is closed.
func (c *Credit) Wait(bound int) (int, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.n == 0 && !c.closed {
		c.cond.Wait()
	}
	return min(c.n, bound), !c.closed
}

// Spend takes n bytes that Wait offered.
func (c *Credit) Spend(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n > c.n {
		panic("BUG: proto: more spent than offered")
	}
	c.n -= n
}

// Grant adds what the peer granted. More than a window is ErrWindow.
func (c *Credit) Grant(g Grant) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if int(g.Bytes) > Window-c.n {
		return ErrWindow
	}
	c.n += int(g.Bytes)
	c.cond.Signal()
	return nil
}

// Close ends the stream: Wait returns false from now on.
func (c *Credit) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	c.cond.Broadcast()
}

// Closed reports whether Close was called.
func (c *Credit) Closed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}

// Queue is the receiver's side of a stream: up to a window of bytes that nobody has taken yet. Push never waits.
// Read is for one goroutine at a time.
type Queue struct {
	grant func(n uint32) // tells the peer that n bytes were taken
	mu    sync.Mutex
	cond  sync.Cond
	buf   []byte // guarded by mu: buf[off:] is waiting; never longer than Window
	off   int    // guarded by mu
	taken int    // guarded by mu: not granted yet
	end   error  // guarded by mu: what Read returns when nothing waits
	gone  bool   // guarded by mu: the reader has left
}

// grantAt is how many bytes a Queue lets gather before it grants them: a quarter window keeps a sender busy without
// a frame for each read.
const grantAt = Window / 4

// NewQueue returns an empty Queue. It calls grant, without locks held, after bytes were taken; grant must not call the Queue.
func NewQueue(grant func(n uint32)) *Queue {
	q := &Queue{grant: grant}
	q.cond.L = &q.mu
	return q
}

// Push adds a copy of p. It is ErrWindow if the peer sent more than was granted, ErrBad after the end.
// It neither waits nor grants: were a reading loop to send, two peers could wait for each other's reading loops.
func (q *Queue) Push(p []byte) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.end != nil {
		return ErrBad
	}
	if len(p) > Window-q.taken-(len(q.buf)-q.off) {
		return ErrWindow
	}
	if q.gone {
		q.taken += len(p)
		return nil
	}
	if q.off == len(q.buf) {
		q.buf, q.off = q.buf[:0], 0
	} else if q.off > 0 && len(q.buf)+len(p) > cap(q.buf) {
		q.buf, q.off = q.buf[:copy(q.buf, q.buf[q.off:])], 0
	}
	q.buf = append(q.buf, p...)
	q.cond.Signal()
	return nil
}

// End says what Read returns once nothing waits any more: io.EOF, or what broke the stream. The first call counts.
func (q *Queue) End(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.end == nil {
		q.end = err
		q.cond.Broadcast()
	}
}

// Leave says that nobody will Read any more: what waits and what comes is dropped, and nothing is granted; the owner sends Closed,
// so that the peer does not wait for it. A Read under way returns io.ErrClosedPipe.
func (q *Queue) Leave() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.gone {
		q.gone = true
		q.taken += len(q.buf) - q.off
		q.buf, q.off = nil, 0
		q.cond.Broadcast()
	}
}

// Read waits for bytes and takes them.
func (q *Queue) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	q.mu.Lock()
	for q.off == len(q.buf) && q.end == nil && !q.gone {
		q.cond.Wait()
	}
	if q.gone {
		q.mu.Unlock()
		return 0, io.ErrClosedPipe
	}
	if q.off == len(q.buf) {
		defer q.mu.Unlock()
		return 0, q.end
	}
	n := copy(p, q.buf[q.off:])
	q.off += n
	grant := q.take(n)
	q.mu.Unlock()
	if grant > 0 {
		q.grant(grant)
	}
	return n, nil
}

// take counts n bytes as taken and returns how many to grant now. The caller holds mu.
func (q *Queue) take(n int) uint32 {
	q.taken += n
	if q.taken < grantAt || q.end != nil {
		return 0
	}
	g := q.taken
	q.taken = 0
	return uint32(g)
}
