package vsock

import (
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// closeTimeout is how long a closed connection waits for the guest's RST before it sends its own and frees its ports;
// Linux waits as long (VSOCK_CLOSE_TIMEOUT in net/vmw_vsock/virtio_transport_common.c).
const closeTimeout = 8 * time.Second

// connKey names a connection: the CIDs are the same for all.
type connKey struct{ guest, host uint32 } // ports

// state is where a connection is in its life.
type state uint8

const (
	stateConnecting state = iota // REQUEST is owed or sent
	stateOpen                    // data flows, perhaps one way only
	stateClosing                 // closed by the host: SHUTDOWN is owed or sent, the guest's RST is awaited
	stateResetting               // RST is owed
	stateGone                    // not in the table any more
)

// owed is the set of packets that the receive worker shall send for a connection.
type owed uint8

const (
	oweRequest owed = 1 << iota
	oweResponse
	oweReset
	oweShutdown
	oweCredit        // CREDIT_UPDATE
	oweCreditRequest // CREDIT_REQUEST
)

// Conn is a stream between a program on the host and one in the guest. It is a net.Conn, and has the half closes of
// net.TCPConn. Methods may be called from any goroutine.
//
// When the guest resets the connection, or itself, what had arrived before can still be read; then Read returns the
// error, or io.EOF if the guest had ended its stream.
type Conn struct {
	d   *Device
	key connKey

	reading sync.Mutex // held by Read: one reader at a time
	writing sync.Mutex // held by Write

	listed, held bool // guarded by d.mu; in d.conns; known to the host's program

	queued bool  // guarded by d.sched.mu; on the schedule
	next   *Conn // guarded by d.sched.mu; successor there

	settled chan struct{} // closed when the state leaves stateConnecting

	mu       sync.Mutex
	readable sync.Cond     // L is &mu; something changed for Read
	writable sync.Cond     // L is &mu; something changed for Write
	state    state         // guarded by mu
	owed     owed          // guarded by mu
	err      error         // guarded by mu; why the connection ended, nil while it lives or if it ended well
	closed   bool          // guarded by mu; Close was called
	mine     shutdown      // guarded by mu; what the host will do no more
	peer     shutdown      // guarded by mu; what the guest will do no more
	linger   time.Duration // guarded by mu; how long stateClosing may last, 0: not at all
	timer    *time.Timer   // guarded by mu; runs while closing
	rdl, wdl deadline      // guarded by mu

	// What comes from the guest; guarded by mu.
	in     fifo
	rxCnt  uint32 // bytes received in all, mod 2^32
	fwdCnt uint32 // bytes consumed in all, mod 2^32 [VIRTIO §5.10.6.3]
	told   uint32 // fwdCnt as the guest last heard it

	// What goes to the guest; guarded by mu.
	out       []byte // the rest of the slice that Write was given; only while Write runs
	lent      bool   // the receive worker copies from out
	requested bool   // REQUEST was sent
	asked     bool   // CREDIT_REQUEST was sent and credit has not changed since
	txCnt     uint32 // bytes sent in all, mod 2^32
	peerFwd   uint32 // the guest's fwd_cnt
	peerAlloc uint32 // the guest's buf_alloc, at most maxPeerAlloc
}

var _ net.Conn = (*Conn)(nil)

func newConn(d *Device, k connKey, s state) *Conn {
	c := &Conn{d: d, key: k, state: s, settled: make(chan struct{}), linger: closeTimeout}
	c.readable.L, c.writable.L = &c.mu, &c.mu
	c.rdl.init(&c.mu, &c.readable)
	c.wdl.init(&c.mu, &c.writable)
	c.in.pool = &d.chunks
	if s != stateConnecting {
		close(c.settled)
	}
	return c
}

// LocalAddr returns the host's end, an Addr. RemoteAddr returns the guest's.
func (c *Conn) LocalAddr() net.Addr  { return Addr{HostCID, c.key.host} }
func (c *Conn) RemoteAddr() net.Addr { return Addr{c.d.cid, c.key.guest} }

// Read reads what the guest sent, at least one byte unless p is empty. io.EOF means that the guest ended its stream.
func (c *Conn) Read(p []byte) (int, error) {
	c.reading.Lock()
	defer c.reading.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		if err := c.readErr(); err != nil {
			return 0, c.opError("read", err)
		}
		if len(p) == 0 {
			return 0, nil
		}
		if c.in.size > 0 {
			break
		}
		if err := c.streamEnd(); err != nil {
			return 0, c.opError("read", err)
		}
		c.readable.Wait()
	}
	n := 0
	for n < len(p) {
		m := c.in.read(p[n:])
		if m == 0 {
			break
		}
		n += m
	}
	c.consumed(n)
	return n, nil
}

// readErr is what keeps a Read from looking for data. Precondition: mu is held.
func (c *Conn) readErr() error {
	switch {
	case c.closed:
		return net.ErrClosed
	case c.rdl.passed:
		return os.ErrDeadlineExceeded
	case c.mine.has(shutRcv):
		return io.EOF
	}
	return nil
}

// streamEnd is what follows the last byte, nil if more may come. Precondition: mu is held.
func (c *Conn) streamEnd() error {
	if c.peer.has(shutSend) {
		return io.EOF
	}
	if c.state == stateResetting || c.state == stateGone {
		if c.err == nil {
			return io.EOF
		}
		return c.err
	}
	return nil
}

// consumed gives n bytes of credit back to the guest: with the next packet, or with one of its own once half the window
// is owed. Earlier would cost a packet for little, later would stall the guest. Precondition: mu is held.
func (c *Conn) consumed(n int) {
	c.fwdCnt += uint32(n)
	if c.state == stateOpen && c.fwdCnt-c.told >= c.d.window/2 {
		c.owe(oweCredit)
	}
}

// Write sends p to the guest and returns when the last byte lies in the guest's receive queue. It waits while the guest
// gives no credit or no buffers. The guest's program may not have read the data yet.
func (c *Conn) Write(p []byte) (int, error) {
	c.writing.Lock()
	defer c.writing.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.writeErr(); err != nil || len(p) == 0 {
		return 0, c.opError("write", err)
	}
	c.out = p
	c.d.sched.add(c)
	for len(c.out) > 0 || c.lent {
		if !c.lent {
			if err := c.writeErr(); err != nil {
				n := len(p) - len(c.out)
				c.out = nil
				return n, c.opError("write", err)
			}
		}
		c.writable.Wait()
	}
	c.out = nil
	return len(p), nil
}

// writeErr is what keeps a Write from sending, or nil. Precondition: mu is held.
func (c *Conn) writeErr() error {
	switch {
	case c.closed:
		return net.ErrClosed
	case c.wdl.passed:
		return os.ErrDeadlineExceeded
	case c.mine.has(shutSend):
		return ErrBrokenPipe
	case c.state == stateResetting || c.state == stateGone:
		if c.err == nil {
			return ErrBrokenPipe
		}
		return c.err
	case c.peer.has(shutRcv):
		return ErrBrokenPipe
	}
	return nil
}

// CloseRead ends the guest's stream: what it sent and will send is thrown away, and it is told to send no more.
func (c *Conn) CloseRead() error { return c.halfClose(shutRcv) }

// CloseWrite ends the host's stream: the guest reads the end of file after all that was written.
func (c *Conn) CloseWrite() error { return c.halfClose(shutSend) }

func (c *Conn) halfClose(how shutdown) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return c.opError("close", net.ErrClosed)
	}
	if c.mine.has(how) {
		return nil
	}
	c.mine |= how
	if how.has(shutRcv) {
		c.fwdCnt += uint32(c.in.discard())
	}
	if c.state == stateOpen {
		c.owe(oweShutdown)
	}
	c.readable.Broadcast()
	c.writable.Broadcast()
	return nil
}

// Close ends both streams and returns at once: what Write took lies in the guest's queue already, what the guest sent
// and nobody read is thrown away. The ports are free again when the guest has taken leave, or after eight seconds.
func (c *Conn) Close() error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return c.opError("close", net.ErrClosed)
	}
	c.closed = true
	c.mine = shutBoth
	c.in.discard()
	c.rdl.stop()
	c.wdl.stop()
	gone := false
	switch c.state {
	case stateConnecting:
		gone = c.abandon()
	case stateOpen:
		if c.linger == 0 {
			c.sendReset()
		} else {
			c.state = stateClosing
			c.owe(oweShutdown)
			c.timer = time.AfterFunc(c.linger, c.lingered)
		}
	}
	c.readable.Broadcast()
	c.writable.Broadcast()
	c.mu.Unlock()
	if gone {
		c.d.drop(c)
	}
	c.d.unhold(c)
	return nil
}

// SetLinger sets how long Close lets the connection wait for the guest to take leave, in seconds, before it is reset:
// with 0 at once, with less than 0 the default of eight seconds. Close itself never waits.
func (c *Conn) SetLinger(sec int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return c.opError("set", net.ErrClosed)
	}
	c.linger = time.Duration(sec) * time.Second
	if sec < 0 {
		c.linger = closeTimeout
	}
	return nil
}

// lingered resets a connection that the guest did not take leave of in time.
func (c *Conn) lingered() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state == stateClosing {
		c.sendReset()
	}
}

// SetDeadline sets both deadlines. SetReadDeadline and SetWriteDeadline set one; a passed deadline ends calls under way
// with os.ErrDeadlineExceeded. The zero time means none.
func (c *Conn) SetDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return c.opError("set", net.ErrClosed)
	}
	c.rdl.set(t)
	c.wdl.set(t)
	return nil
}

// SetReadDeadline sets the deadline of Read.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.setDeadline(&c.rdl, t) }

// SetWriteDeadline sets the deadline of Write. A Write that it ends may have sent a part.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.setDeadline(&c.wdl, t) }

func (c *Conn) setDeadline(dl *deadline, t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return c.opError("set", net.ErrClosed)
	}
	dl.set(t)
	return nil
}

// opError dresses err as package net does; io.EOF and nil stay bare.
func (c *Conn) opError(op string, err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	return &net.OpError{Op: op, Net: "vsock", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: err}
}
