package agent

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/husk-vm/husk/guest/proto"
)

// Bounds of the server.
const (
	maxConns     = 256              // connections at once: 64 processes and their file copies, with room
	helloTimeout = 10 * time.Second // for a peer to say what it wants
	lingerTime   = 5 * time.Second  // for a peer to close after our last word; closing first could discard it
)

// Agent serves connections of package proto. Its methods are safe for concurrent use.
type Agent struct {
	sys     sys
	log     *slog.Logger
	env     []string        // what processes get, and Exec.Env adds to
	slots   chan struct{}   // one token for each connection
	ready   <-chan struct{} // closed when processes can be started: file systems are mounted
	execs   atomic.Int32
	closing atomic.Bool // shutting down: nothing new starts
}

func newAgent(s sys, log *slog.Logger, env []string, ready <-chan struct{}) *Agent {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Agent{sys: s, log: log, env: env, slots: make(chan struct{}, maxConns), ready: ready}
}

// Serve accepts connections and serves them until ln fails or is closed, then waits for those it has.
func (a *Agent) Serve(ln net.Listener) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	for {
		c, err := ln.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return nil
			}
			return err
		}
		select {
		case a.slots <- struct{}{}:
		default:
			a.log.Warn("connection refused", "cause", "too many")
			c.Close()
			continue
		}
		wg.Go(func() {
			defer func() { <-a.slots }()
			a.ServeConn(c)
		})
	}
}

// ServeConn serves a connection that the host opened, and closes it.
func (a *Agent) ServeConn(c net.Conn) {
	defer c.Close()
	defer a.survive()
	p := newPeer(c)
	c.SetReadDeadline(time.Now().Add(helloTimeout))
	h, err := p.hello()
	if err != nil {
		a.log.Debug("hello", "err", err)
		return
	}
	if err := p.w.Send(proto.TypeHello, 0, proto.Hello{Major: proto.Major, Minor: proto.Minor, Role: h.Role}.Append(nil)); err != nil {
		return
	}
	switch h.Role {
	case proto.RoleControl:
		err = a.control(p, h)
	case proto.RoleExec:
		err = a.exec(p)
	case proto.RoleFiles:
		err = a.files(p)
	default:
		p.refuse(&proto.Error{Code: proto.CodeInvalid, Text: "unknown role"})
	}
	if err != nil && !errors.Is(err, io.EOF) {
		a.log.Debug("connection", "role", h.Role, "err", err)
	}
}

// ServeReady serves the connection that the agent opened to the host's ReadyPort: the agent speaks first. It closes c.
func (a *Agent) ServeReady(c net.Conn) error {
	defer c.Close()
	defer a.survive()
	p := newPeer(c)
	if err := p.w.Send(proto.TypeHello, 0, proto.Hello{Major: proto.Major, Minor: proto.Minor, Role: proto.RoleControl}.Append(nil)); err != nil {
		return err
	}
	h, err := p.hello()
	if err != nil {
		return err
	}
	return a.control(p, h)
}

// survive keeps a panic in one connection from taking process 1, and with it the guest, down.
func (a *Agent) survive() {
	if v := recover(); v != nil {
		a.log.Error("connection panicked", "panic", v, "stack", string(debug.Stack()))
	}
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

// hello reads the host's hello.
func (p *peer) hello() (proto.Hello, error) {
	f, err := p.r.Next()
	if err != nil {
		return proto.Hello{}, err
	}
	if f.Type != proto.TypeHello {
		return proto.Hello{}, proto.ErrBad
	}
	return proto.DecodeHello(f.Payload)
}

// refuse sends an error and lets the host read it.
func (p *peer) refuse(e *proto.Error) error {
	if err := p.w.Send(proto.TypeError, 0, e.Append(nil)); err != nil {
		return err
	}
	p.linger()
	return e
}

// linger reads and drops what the host still sends until it closes, but not for ever.
func (p *peer) linger() {
	p.c.SetReadDeadline(time.Now().Add(lingerTime))
	io.Copy(io.Discard, p.c) // any end will do
}
