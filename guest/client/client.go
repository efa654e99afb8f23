package client

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/husk-vm/husk/guest/proto"
	"github.com/husk-vm/husk/guest/tree"
)

// Dialer connects to a vsock port of the guest.
type Dialer func(ctx context.Context, port uint32) (net.Conn, error)

// The protocol's types that callers meet.
type (
	Signal = proto.Signal // a Linux signal number, whatever the host is
	Info   = proto.Info
	Size   = proto.Size
	Limits = tree.Limits
)

// ReadyPort is the port of the host that a booted agent dials. Give its listener to [Client.WaitReady].
const ReadyPort = proto.ReadyPort

// Signals that callers send most; any other Linux number will do.
const (
	SIGHUP   = proto.SIGHUP
	SIGINT   = proto.SIGINT
	SIGQUIT  = proto.SIGQUIT
	SIGKILL  = proto.SIGKILL
	SIGTERM  = proto.SIGTERM
	SIGWINCH = proto.SIGWINCH
)

// Client talks to the agent of one guest. Its methods are safe for concurrent use.
type Client struct {
	dial Dialer
	now  func() time.Time
	turn chan struct{} // holds one token: who has it may use control
	ctl  *peer         // the control connection, or nil
}

// New returns a client that reaches the agent through dial. It connects when it has something to say.
func New(dial Dialer) *Client {
	return &Client{dial: dial, now: time.Now, turn: make(chan struct{}, 1)}
}

// WaitReady waits until the agent has booted and dialled the host: ln listens on ReadyPort. It sets the guest's clock on the way.
// The first connection counts: the agent dials before there is anybody else in the guest. ln stays open.
// ln's Accept cannot be interrupted: when ctx ends first, the next connection is accepted and dropped.
func (c *Client) WaitReady(ctx context.Context, ln net.Listener) error {
	type accepted struct {
		conn net.Conn
		err  error
	}
	ch := make(chan accepted, 1)
	go func() {
		conn, err := ln.Accept()
		ch <- accepted{conn, err}
	}()
	var conn net.Conn
	select {
	case a := <-ch:
		if a.err != nil {
			return fmt.Errorf("guest ready: %w", a.err)
		}
		conn = a.conn
	case <-ctx.Done():
		go func() {
			if a := <-ch; a.err == nil {
				a.conn.Close()
			}
		}()
		return fmt.Errorf("guest ready: %w", ctx.Err())
	}
	p := newPeer(conn)
	err := p.guard(ctx, func() error {
		if err := p.hello(); err != nil {
			return err
		}
		return p.w.Send(proto.TypeHello, 0, c.helloFor(proto.RoleControl))
	})
	if err != nil {
		conn.Close()
		return fmt.Errorf("guest ready: %w", err)
	}
	if err := c.lock(ctx); err != nil {
		conn.Close()
		return err
	}
	defer c.unlock()
	c.drop()
	c.ctl = p
	return nil
}

// Close closes the control connection. Processes go on.
func (c *Client) Close() error {
	c.turn <- struct{}{}
	defer c.unlock()
	c.drop()
	return nil
}

// Ping asks the agent for an answer.
func (c *Client) Ping(ctx context.Context) error {
	_, err := c.request(ctx, proto.TypePing, nil)
	return wrap("ping", "", err)
}

// SyncClock sets the guest's wall clock to the host's.
func (c *Client) SyncClock(ctx context.Context) error {
	_, err := c.request(ctx, proto.TypeClock, proto.Clock{Nanos: c.now().UnixNano()}.Append(nil))
	return wrap("clock", "", err)
}

// Info describes the guest. What it says is the guest's word.
func (c *Client) Info(ctx context.Context) (Info, error) {
	p, err := c.request(ctx, proto.TypeInfoRequest, nil)
	if err != nil {
		return Info{}, wrap("info", "", err)
	}
	return proto.DecodeInfo(p)
}

// Shutdown powers the guest off. Processes get SIGTERM and the grace to end in; none if it is 0. It returns when the agent has agreed.
func (c *Client) Shutdown(ctx context.Context, grace time.Duration) error {
	return c.end(ctx, "shutdown", proto.PowerOff, grace)
}

// Reboot resets the guest. Otherwise it is like Shutdown.
func (c *Client) Reboot(ctx context.Context, grace time.Duration) error {
	return c.end(ctx, "reboot", proto.Reboot, grace)
}

func (c *Client) end(ctx context.Context, op string, kind proto.ShutdownKind, grace time.Duration) error {
	ms := uint32(min(max(grace.Milliseconds(), 0), 1<<31))
	_, err := c.request(ctx, proto.TypeShutdown, proto.Shutdown{Kind: kind, Grace: ms}.Append(nil))
	return wrap(op, "", err)
}

// request sends one request over the control connection and returns the answer's payload. A connection that is found lost
// before the answer is opened anew once: the guest may have been restored from a snapshot, which resets connections.
func (c *Client) request(ctx context.Context, t proto.Type, payload []byte) ([]byte, error) {
	if err := c.lock(ctx); err != nil {
		return nil, err
	}
	defer c.unlock()
	fresh := c.ctl == nil
	for {
		if c.ctl == nil {
			p, err := c.open(ctx, proto.RoleControl, nil)
			if err != nil {
				return nil, err
			}
			c.ctl = p
		}
		answer, err := c.ctl.ask(ctx, t, payload)
		if err == nil {
			return answer, nil
		}
		if _, refused := errors.AsType[*proto.Error](err); refused {
			return nil, err
		}
		c.drop()
		if fresh || ctx.Err() != nil {
			return nil, err
		}
		fresh = true
	}
}

func (c *Client) lock(ctx context.Context) error {
	select {
	case c.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (c *Client) unlock() { <-c.turn }

// drop closes the control connection. The caller has the turn.
func (c *Client) drop() {
	if c.ctl != nil {
		c.ctl.c.Close()
		c.ctl = nil
	}
}

// helloFor is our hello.
func (c *Client) helloFor(role proto.Role) []byte {
	h := proto.Hello{Major: proto.Major, Minor: proto.Minor, Role: role}
	if role == proto.RoleControl {
		h.Clock = c.now().UnixNano()
	}
	return h.Append(nil)
}

// open dials the agent, sends the hello and, in the same breath, first (a whole frame, or nothing), and reads the agent's hello.
func (c *Client) open(ctx context.Context, role proto.Role, first []byte) (*peer, error) {
	conn, err := c.dial(ctx, proto.AgentPort)
	if err != nil {
		return nil, err
	}
	p := newPeer(conn)
	err = p.guard(ctx, func() error {
		b := proto.AppendFrame(nil, proto.TypeHello, 0, 0, c.helloFor(role))
		if _, err := conn.Write(append(b, first...)); err != nil {
			return err
		}
		return p.hello()
	})
	if err != nil {
		conn.Close()
		return nil, err
	}
	return p, nil
}

// peer is a connection with its frames.
type peer struct {
	c net.Conn
	r *proto.Reader
	w *proto.Writer
}

func newPeer(c net.Conn) *peer {
	return &peer{c: c, r: proto.NewReader(c), w: proto.NewWriter(c)}
}

// guard runs fn and closes the connection if ctx ends meanwhile; then it returns ctx's error.
func (p *peer) guard(ctx context.Context, fn func() error) error {
	var once sync.Once
	stop := context.AfterFunc(ctx, func() { once.Do(func() { p.c.Close() }) })
	err := fn()
	if !stop() && ctx.Err() != nil && err != nil {
		return ctx.Err()
	}
	return err
}

// hello reads the agent's hello.
func (p *peer) hello() error {
	f, err := p.r.Next()
	if err != nil {
		return err
	}
	if f.Type != proto.TypeHello {
		return fmt.Errorf("frame type %d for a hello: %w", f.Type, proto.ErrBad)
	}
	_, err = proto.DecodeHello(f.Payload)
	return err
}

// ask sends a request and reads its answer: Done or Info, or an Error, which becomes *proto.Error.
func (p *peer) ask(ctx context.Context, t proto.Type, payload []byte) (answer []byte, err error) {
	err = p.guard(ctx, func() error {
		if err := p.w.Send(t, 0, payload); err != nil {
			return err
		}
		answer, err = p.answer(t)
		return err
	})
	return answer, err
}

func (p *peer) answer(request proto.Type) ([]byte, error) {
	f, err := p.r.Next()
	if err != nil {
		return nil, err
	}
	want := proto.TypeDone
	if request == proto.TypeInfoRequest {
		want = proto.TypeInfo
	}
	switch f.Type {
	case want:
		return slices.Clone(f.Payload), nil // the reader's buffer is the next caller's
	case proto.TypeError:
		return nil, tree.PeerError(f.Payload)
	}
	return nil, fmt.Errorf("frame type %d for an answer: %w", f.Type, proto.ErrBad)
}
