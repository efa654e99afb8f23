package vsock

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestHammer opens and closes connections from both sides at once, at every point of their life, with reboots in between.
// It is for the race detector, and for lost wake-ups: nothing may hang.
func TestHammer(t *testing.T) {
	pipe := backToBack(t, Config{Window: MinWindow, MaxConns: 64})
	a, b := pipe.a, pipe.b
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var servers, clients sync.WaitGroup
	var listeners []*Listener
	for i, d := range []*Device{a, b} {
		l, err := d.Listen(uint32(100 + i))
		if err != nil {
			t.Fatal(err)
		}
		listeners = append(listeners, l)
		servers.Go(func() { serveHammer(l, &servers) })
	}
	for i := range 8 {
		d, port := b, uint32(100)
		if i%2 == 0 {
			d, port = a, 101
		}
		clients.Go(func() {
			r := rand.New(rand.NewPCG(1, uint64(i)))
			for range 60 {
				if err := hammer(ctx, d, port, r); err != nil {
					t.Error(err)
				}
			}
		})
	}
	clients.Go(func() {
		for range 10 {
			time.Sleep(5 * time.Millisecond) // spreads the reboots; nothing depends on it
			a.State()
			b.Stats()
			pipe.stop()
			pipe.start()
		}
	})
	clients.Wait()
	if ctx.Err() != nil {
		t.Error("something hung for a minute")
	}
	for _, l := range listeners {
		l.Close()
	}
	servers.Wait()
}

// serveHammer echoes connections until the listener closes.
func serveHammer(l *Listener, wg *sync.WaitGroup) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		wg.Go(func() {
			io.Copy(struct{ io.Writer }{c}, struct{ io.Reader }{c})
			c.Close()
		})
	}
}

// hammer makes a connection and ends it somewhere. Errors that the chaos explains are fine; hanging and wrong bytes are
// not.
func hammer(ctx context.Context, d *Device, port uint32, r *rand.Rand) error {
	c, err := d.Dial(ctx, port)
	if err != nil {
		if errors.Is(err, ErrRefused) || errors.Is(err, ErrReset) || errors.Is(err, ErrConnReset) || errors.Is(err, ErrTooManyConns) || errors.Is(err, ErrNotReady) {
			return nil
		}
		return err
	}
	deadline, _ := ctx.Deadline()
	c.SetDeadline(deadline)
	n := r.IntN(20000)
	done := make(chan error, 1)
	go func() {
		p := make([]byte, n)
		for i := range p {
			p[i] = byte(i * 7)
		}
		_, err := c.Write(p)
		c.CloseWrite()
		done <- err
	}()
	if r.IntN(3) == 0 {
		go c.Close()
	}
	if r.IntN(4) == 0 {
		c.SetReadDeadline(time.Now().Add(time.Duration(r.IntN(300)) * time.Microsecond))
	}
	got, err := io.ReadAll(c)
	for i := range got {
		if got[i] != byte(i*7) {
			return fmt.Errorf("byte %d of %d is %#x", i, n, got[i])
		}
	}
	if r.IntN(3) == 0 {
		c.SetLinger(0)
	}
	c.Close()
	werr := <-done
	for _, err := range []error{err, werr} {
		switch {
		case err == nil, errors.Is(err, ErrReset), errors.Is(err, ErrConnReset), errors.Is(err, ErrBrokenPipe), errors.Is(err, net.ErrClosed):
		case isTimeout(err) && time.Now().Before(deadline):
		default:
			return err
		}
	}
	return nil
}

// TestAllocs wants a packet in either direction, with the credit that goes back, to allocate nothing.
func TestAllocs(t *testing.T) {
	a, b := newTestDevice(t, Config{}), newTestDevice(t, Config{})
	l, err := b.Listen(1)
	if err != nil {
		t.Fatal(err)
	}
	var (
		m    = &memChain{b: make([]byte, 0, headerSize+maxPayload)}
		pkt  packet
		hdr  header
		pass = func(from, to *Device) (n int) {
			for ; ; n++ {
				m.b = m.b[:0]
				size, err := from.fill(m, maxPayload, &pkt)
				if err != nil {
					t.Fatal(err)
				}
				if size == 0 {
					return n
				}
				swapCIDs(m.b)
				if err := to.take(m, uint64(size), &hdr); err != nil {
					t.Fatal(err)
				}
			}
		}
	)
	c, err := a.request(1)
	if err != nil {
		t.Fatal(err)
	}
	pass(a, b)
	pass(b, a)
	far, err := l.AcceptVsock()
	if err != nil {
		t.Fatal(err)
	}
	p := make([]byte, 8<<10)
	packets := 0
	n := testing.AllocsPerRun(1000, func() {
		c.mu.Lock() // as Write does, which would wait
		c.out = p
		a.sched.add(c)
		c.mu.Unlock()
		packets += pass(a, b)
		if n, err := io.ReadFull(far, p); n != len(p) || err != nil {
			t.Fatal(n, err)
		}
		packets += pass(b, a)
	})
	t.Logf("allocations: %v a packet of 8 KiB and its credit", n)
	if n != 0 {
		t.Errorf("%v allocations for a packet", n)
	}
	if packets < 1001 {
		t.Errorf("only %d packets went", packets)
	}
}

// TestLimits fills the table, the backlog and the list of resets.
func TestLimits(t *testing.T) {
	d := newTestDevice(t, Config{MaxConns: Backlog + 2})
	l, err := d.Listen(1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Listen(1); !errors.Is(err, ErrPortInUse) {
		t.Errorf("second listen: %v", err)
	}
	var h header
	request := func(port uint32) {
		h.set(fields{srcCID: testCID, dstCID: HostCID, srcPort: port, dstPort: 1, typ: typeStream, op: opRequest})
		if err := d.take(&memChain{h[:]}, headerSize, &header{}); err != nil {
			t.Fatal(err)
		}
	}
	for port := range uint32(Backlog + maxResets + 10) {
		request(port)
	}
	s := d.Stats()
	if s.Accepted != Backlog || s.Refused != maxResets+10 || s.Dropped != 10 || s.Conns != Backlog {
		t.Errorf("stats %+v", s)
	}
	for range 2 {
		if _, err := d.request(1); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := d.Dial(t.Context(), 1); !errors.Is(err, ErrTooManyConns) || errors.Is(err, ErrNotReady) {
		t.Errorf("dial: %v", err)
	}
	l.Close()
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("accept: %v", err)
	}
	d.Close()
	if _, err := d.Dial(t.Context(), 1); !errors.Is(err, net.ErrClosed) {
		t.Errorf("dial: %v", err)
	}
	if n := d.Stats().Conns; n != 2 { // the two that nobody but request holds
		t.Errorf("%d connections", n)
	}
}

func TestConfigErrors(t *testing.T) {
	for _, cfg := range []Config{
		{},
		{GuestCID: 2},
		{GuestCID: 1<<32 - 1},
		{GuestCID: 1 << 32},
		{GuestCID: 3, Window: 100},
		{GuestCID: 3, Window: MaxWindow + 1},
		{GuestCID: 3, MaxConns: -1},
	} {
		if _, err := New(cfg); err == nil {
			t.Errorf("%+v: no error", cfg)
		}
	}
}

// slowSink acts on a connection while the worker copies from its Write's slice.
type slowSink struct {
	memChain
	act func()
}

func (s *slowSink) WriteAt(p []byte, off uint64) error {
	if off == headerSize {
		s.act()
	}
	return s.memChain.WriteAt(p, off)
}

// TestWriteEndsMidCopy ends a Write at the moment when its slice is lent: it must wait for the copy, and then return.
func TestWriteEndsMidCopy(t *testing.T) {
	for _, tt := range []struct {
		name string
		end  func(*Conn) error
		want error
	}{
		{"deadline", func(c *Conn) error { return c.SetWriteDeadline(time.Unix(1, 0)) }, os.ErrDeadlineExceeded},
		{"close", (*Conn).Close, net.ErrClosed},
		{"close write", (*Conn).CloseWrite, ErrBrokenPipe},
		{"device reset", func(c *Conn) error { c.end(ErrReset); return nil }, ErrReset},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { endMidCopy(t, tt.end, tt.want) })
		})
	}
}

func endMidCopy(t *testing.T, end func(*Conn) error, want error) {
	d := newTestDevice(t, Config{})
	d.mu.Lock()
	c := d.admit(connKey{5, 6}, stateOpen)
	d.mu.Unlock()
	c.peerAlloc = 100
	var (
		n    int
		err  error
		done bool
	)
	go func() {
		n, err = c.Write(make([]byte, 50))
		done = true
	}()
	d.sched.wait()
	s := &slowSink{act: func() {
		if err := end(c); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if done {
			t.Error("write returned while its slice was lent")
		}
	}}
	s.b = make([]byte, 0, headerSize+10)
	if n, err := d.fill(s, 10, &packet{}); n != headerSize+10 || err != nil {
		t.Errorf("fill: %d, %v", n, err)
	}
	synctest.Wait()
	if !done || n != 10 || !errors.Is(err, want) {
		t.Errorf("write: done %v, %d, %v, want 10, %v", done, n, err, want)
	}
	d.down()
}

// TestStaleTimer lets the timer of an earlier deadline fire after a later one was set.
func TestStaleTimer(t *testing.T) {
	d := newTestDevice(t, Config{})
	c := newConn(d, connKey{1, 2}, stateOpen)
	c.SetDeadline(time.Now().Add(time.Hour))
	c.rdl.fire()
	if c.rdl.passed {
		t.Error("the deadline passed an hour early")
	}
	c.SetDeadline(time.Time{})
	c.rdl.fire()
	if c.rdl.passed {
		t.Error("no deadline passed")
	}
}

// TestDeadInBacklog wants Accept to pass over connections that the guest reset before it.
func TestDeadInBacklog(t *testing.T) {
	d := newTestDevice(t, Config{})
	l, err := d.Listen(1)
	if err != nil {
		t.Fatal(err)
	}
	var h header
	for _, p := range []struct {
		port uint32
		op   op
	}{{5, opRequest}, {6, opRequest}, {5, opRst}} {
		h.set(fields{srcCID: testCID, dstCID: HostCID, srcPort: p.port, dstPort: 1, typ: typeStream, op: p.op})
		if err := d.take(&memChain{h[:]}, headerSize, &header{}); err != nil {
			t.Fatal(err)
		}
	}
	c, err := l.AcceptVsock()
	if err != nil || c.key.guest != 6 {
		t.Errorf("accepted %v, %v", c.key, err)
	}
	if n := d.Stats().Conns; n != 1 {
		t.Errorf("%d connections", n)
	}
}

// faultSink is guest memory that the host cannot serve.
type faultSink struct{}

func (faultSink) WriteAt([]byte, uint64) error      { panic("fault") }
func (faultSink) ReadAt(p []byte, off uint64) error { panic("fault") }

// TestFault wants a worker that dies in the middle of a copy to leave nothing lent and nothing reserved.
func TestFault(t *testing.T) {
	fault := func(f func()) {
		t.Helper()
		defer func() {
			if recover() == nil {
				t.Error("no fault")
			}
		}()
		f()
	}
	d := newTestDevice(t, Config{})
	d.mu.Lock()
	c := d.admit(connKey{5, 6}, stateOpen)
	d.mu.Unlock()
	c.peerAlloc = 100
	c.out = []byte("data")
	d.sched.add(c)
	fault(func() { d.fill(faultSink{}, 100, &packet{}) })
	fault(func() { c.mu.Lock(); c.onData(3, faultSink{}) })
	d.down()
	if c.lent || c.in.filling || c.in.head != nil {
		t.Errorf("lent %v, filling %v, chunk %p", c.lent, c.in.filling, c.in.head)
	}
	if _, err := c.Write([]byte("x")); !errors.Is(err, ErrReset) {
		t.Errorf("write: %v", err)
	}
	if err := c.Close(); err != nil || d.Stats().Conns != 0 {
		t.Errorf("close: %v, %d connections", err, d.Stats().Conns)
	}
}
