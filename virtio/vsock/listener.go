package vsock

import (
	"context"
	"fmt"
	"net"
	"sync"
)

// Backlog is how many connections a Listener holds before Accept takes them; the guest's next is refused.
const Backlog = 128

// The ports that Dial takes for the host's end: far from those that programs choose, and from Linux's own above 1023.
const (
	firstPort = 1 << 30
	lastPort  = 1<<31 - 1
)

// Dial connects to a port of the guest. It waits for the guest's answer until ctx is done; without a driver in the guest
// it fails at once with ErrNotReady, and with ErrRefused if nothing listens there.
func (d *Device) Dial(ctx context.Context, port uint32) (*Conn, error) {
	c, err := d.request(port)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: "vsock", Addr: Addr{d.cid, port}, Err: err}
	}
	select {
	case <-c.settled:
	case <-ctx.Done():
	}
	c.mu.Lock()
	if c.state == stateOpen {
		c.mu.Unlock()
		d.count.dialed.Add(1)
		return c, nil
	}
	err = c.err
	if err == nil && c.state != stateConnecting {
		err = ErrConnReset
	}
	c.mu.Unlock()
	if err == nil {
		err = ctx.Err()
	}
	c.Close()
	return nil, c.opError("dial", err)
}

// request makes a connection that asks for port.
func (d *Device) request(port uint32) (*Conn, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.closed:
		return nil, net.ErrClosed
	case !d.running:
		return nil, ErrNotReady
	case d.live >= d.maxConns:
		return nil, ErrTooManyConns
	}
	k := connKey{guest: port, host: d.nextPort}
	for d.conns[k] != nil || d.listeners[k.host] != nil { // ends: there are more ports than connections and listeners
		k.host = portAfter(k.host)
	}
	d.nextPort = portAfter(k.host)
	c := d.admit(k, stateConnecting)
	c.owed = oweRequest
	d.sched.add(c)
	return c, nil
}

// portAfter returns the next port that Dial may take.
func portAfter(p uint32) uint32 {
	if p >= lastPort {
		return firstPort
	}
	return p + 1
}

// Listener takes connections that the guest makes to one port of the host. It is a net.Listener, and outlives the
// guest's reboots.
type Listener struct {
	d       *Device
	port    uint32
	backlog chan *Conn // filled under d.mu
	done    chan struct{}
	once    sync.Once
}

var _ net.Listener = (*Listener)(nil)

// Listen takes connections of the guest to the host's port. It may be called before the guest runs.
func (d *Device) Listen(port uint32) (*Listener, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var err error
	switch {
	case d.closed:
		err = net.ErrClosed
	case port == ^uint32(0):
		err = fmt.Errorf("vsock: port %d is reserved", port) // VMADDR_PORT_ANY
	case d.listeners[port] != nil:
		err = ErrPortInUse
	}
	if err != nil {
		return nil, &net.OpError{Op: "listen", Net: "vsock", Addr: Addr{HostCID, port}, Err: err}
	}
	l := &Listener{d: d, port: port, backlog: make(chan *Conn, Backlog), done: make(chan struct{})}
	d.listeners[port] = l
	return l, nil
}

// Accept waits for the guest's next connection. Its dynamic type is *Conn.
func (l *Listener) Accept() (net.Conn, error) {
	c, err := l.AcceptVsock()
	if err != nil {
		return nil, err
	}
	return c, nil
}

// AcceptVsock is Accept with the concrete type.
func (l *Listener) AcceptVsock() (*Conn, error) {
	for {
		select {
		case <-l.done:
			return nil, l.closedError()
		default:
		}
		select {
		case <-l.done:
			return nil, l.closedError()
		case c := <-l.backlog:
			if c.worthless() {
				c.Close()
				continue
			}
			return c, nil
		}
	}
}

func (l *Listener) closedError() error {
	return &net.OpError{Op: "accept", Net: "vsock", Addr: l.Addr(), Err: net.ErrClosed}
}

// worthless reports whether a connection died in the backlog without a byte to read.
func (c *Conn) worthless() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err != nil && c.in.size == 0
}

// Close ends Accept and resets the connections that nobody accepted.
func (l *Listener) Close() error {
	err := l.closedError()
	l.once.Do(func() {
		err = nil
		l.d.mu.Lock()
		delete(l.d.listeners, l.port)
		l.d.mu.Unlock()
		close(l.done)
		for { // at most Backlog rounds: nothing is added any more
			select {
			case c := <-l.backlog:
				c.SetLinger(0)
				c.Close()
			default:
				return
			}
		}
	})
	return err
}

// Addr returns the listener's address, an Addr.
func (l *Listener) Addr() net.Addr { return Addr{HostCID, l.port} }
