package vsock

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"hash/crc64"
	"io"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/husk-vm/husk/internal/guestmem"
	"github.com/husk-vm/husk/virtio"
	"github.com/husk-vm/husk/virtio/virtiotest"
)

var streamMiB = flag.Int("stream-mib", 16, "MiB that TestStreamOverRings moves each way; 1024 for the full run")

// guest is a driver over real rings with a second device behind it that speaks the guest's side of the protocol. It
// allocates nothing for a packet, so that it can measure.
type guest struct {
	t    testing.TB
	drv  *virtiotest.Driver
	dev  *Device // the guest's side
	rx   *lane
	tx   *lane
	stop chan struct{}
	wg   sync.WaitGroup
}

// lane is a queue whose every descriptor has a buffer of its own.
type lane struct {
	drv      *virtiotest.Driver
	q        *virtiotest.Queue
	bufs     []guestmem.Range
	posted   uint16
	kicked   uint16
	taken    uint16
	eventIdx bool
}

// newGuest starts host with a driver in a guest whose receive buffers have bufSize bytes.
func newGuest(t testing.TB, host *Device, bufSize uint64, o virtiotest.Options) *guest {
	t.Helper()
	if o.Host.Memory == nil {
		o.Host = virtiotest.Host(t, 64<<20)
	}
	g := &guest{t: t, drv: virtiotest.Start(t, host, o)}
	g.connect(host, bufSize)
	t.Cleanup(g.halt)
	return g
}

func (g *guest) connect(host *Device, bufSize uint64) {
	g.dev = newTestDevice(g.t, Config{GuestCID: host.GuestCID()})
	g.rx = newLane(g.drv, queueRx, bufSize, 2)
	g.tx = newLane(g.drv, queueTx, headerSize+maxPayload, 0)
	g.stop = make(chan struct{})
	g.wg.Go(g.receive)
	g.wg.Go(g.transmit)
}

// halt ends the guest's goroutines.
func (g *guest) halt() {
	select {
	case <-g.stop:
		return
	default:
	}
	close(g.stop)
	g.dev.down()
	g.wg.Wait()
}

func newLane(drv *virtiotest.Driver, i int, bufSize uint64, flags uint16) *lane {
	l := &lane{drv: drv, q: drv.Queue(i), eventIdx: drv.Features.Has(virtio.FeatureEventIdx)}
	for n := range l.q.Size {
		b := drv.Alloc(bufSize, 64)
		var d [16]byte
		virtiotest.PutDesc(d[:], uint64(b.Addr()), uint32(bufSize), flags, 0)
		must(l.q.Desc.Write(16*uint64(n), d[:]))
		l.bufs = append(l.bufs, b)
	}
	return l
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func load16(r guestmem.Range, off uint64) uint16 {
	v, err := r.Load16(off)
	must(err)
	return v
}

func (l *lane) post(head uint16) {
	must(l.q.Avail.Store16(4+2*uint64(l.posted%l.q.Size), head))
	l.posted++
	must(l.q.Avail.Store16(2, l.posted))
}

func (l *lane) kick() {
	old := l.kicked
	l.kicked = l.posted
	want := false
	if l.eventIdx {
		want = l.posted-load16(l.q.Used, 4+8*uint64(l.q.Size))-1 < l.posted-old
	} else {
		want = load16(l.q.Used, 0)&1 == 0 && l.posted != old
	}
	if want {
		l.drv.Transport.Notify(l.q.Index)
	}
}

// take returns the next used chain.
func (l *lane) take() (head uint16, n uint32, ok bool) {
	if load16(l.q.Used, 2) == l.taken {
		return 0, 0, false
	}
	var e [8]byte
	must(l.q.Used.Read(4+8*uint64(l.taken%l.q.Size), e[:]))
	l.taken++
	return uint16(binary.LittleEndian.Uint32(e[0:])), binary.LittleEndian.Uint32(e[4:]), true
}

// wait returns the next used chain, or false when stop is closed.
func (l *lane) wait(stop chan struct{}) (head uint16, n uint32, ok bool) {
	for {
		if head, n, ok = l.take(); ok {
			return head, n, ok
		}
		if l.eventIdx {
			must(l.q.Avail.Store16(4+2*uint64(l.q.Size), l.taken))
			if head, n, ok = l.take(); ok {
				return head, n, ok
			}
		}
		l.kick()
		select {
		case <-l.drv.Transport.Interrupt(l.q.Index):
		case <-stop:
			return 0, 0, false
		}
	}
}

// receive is the guest's work on its receive queue.
func (g *guest) receive() {
	for n := range g.rx.q.Size {
		g.rx.post(n)
	}
	var (
		m = &memChain{b: make([]byte, headerSize+maxPayload)}
		h header
	)
	for i := 0; ; i++ {
		head, n, ok := g.rx.wait(g.stop)
		if !ok {
			return
		}
		if n != 0 {
			m.b = m.b[:n]
			must(g.rx.bufs[head].Read(0, m.b))
			swapCIDs(m.b)
			if err := g.dev.take(m, uint64(n), &h); err != nil {
				g.t.Error(err)
			}
		}
		g.rx.post(head)
		if i%16 == 0 {
			g.rx.kick()
		}
	}
}

// transmit is the guest's work on its transmit queue.
func (g *guest) transmit() {
	var (
		m    = &memChain{b: make([]byte, 0, headerSize+maxPayload)}
		p    packet
		free []uint16
	)
	for n := range g.tx.q.Size {
		free = append(free, n)
	}
	for g.dev.sched.wait() {
		if len(free) == 0 {
			head, _, ok := g.tx.wait(g.stop)
			if !ok {
				return
			}
			free = append(free, head)
		}
		for head, _, ok := g.tx.take(); ok; head, _, ok = g.tx.take() {
			free = append(free, head)
		}
		m.b = m.b[:0]
		n, err := g.dev.fill(m, maxPayload, &p)
		must(err)
		if n == 0 {
			continue
		}
		swapCIDs(m.b)
		head := free[len(free)-1]
		free = free[:len(free)-1]
		must(g.tx.bufs[head].Write(0, m.b))
		var size [4]byte
		binary.LittleEndian.PutUint32(size[:], n)
		must(g.tx.q.Desc.Write(16*uint64(head)+8, size[:]))
		g.tx.post(head)
		g.tx.kick()
	}
}

// dialGuest connects the host to a port on which the guest listens.
func dialGuest(t testing.TB, host *Device, g *guest, port uint32) (h, v *Conn) {
	t.Helper()
	h, v, err := pair(host, g.dev, port)
	if err != nil {
		t.Fatal(err)
	}
	return h, v
}

// dialHost connects the guest to a port on which the host listens.
func dialHost(t testing.TB, host *Device, g *guest, port uint32) (h, v *Conn) {
	t.Helper()
	v, h, err := pair(g.dev, host, port)
	if err != nil {
		t.Fatal(err)
	}
	return h, v
}

// TestStreamOverRings moves a stream each way at once over real rings, with readers and writers that stall now and then,
// and compares checksums. Ring features and buffer sizes vary.
func TestStreamOverRings(t *testing.T) {
	for _, tt := range []struct {
		name    string
		buf     uint64
		without virtio.Features
		sizes   []uint16
	}{
		{name: "linux", buf: 4096},
		{name: "no event index", buf: 4096, without: virtio.FeatureEventIdx},
		{name: "large buffers", buf: headerSize + maxPayload},
		{name: "one receive buffer", buf: 4096, sizes: []uint16{1, 2, 1}},
		{name: "tiny buffers", buf: headerSize + 100, sizes: []uint16{64, 64, 16}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			total := int64(*streamMiB) << 20
			if tt.name != "linux" && tt.name != "large buffers" {
				total = min(total, 2<<20)
			}
			host, err := New(Config{GuestCID: 42})
			if err != nil {
				t.Fatal(err)
			}
			g := newGuest(t, host, tt.buf, virtiotest.Options{Without: tt.without, QueueSizes: tt.sizes})
			h1, v1 := dialGuest(t, host, g, 1024)
			h2, v2 := dialHost(t, host, g, 1025)
			var wg sync.WaitGroup
			for i, c := range [][2]*Conn{{h1, v1}, {v2, h2}} {
				src, dst := c[0], c[1]
				wg.Go(func() { stream(t, src, dst, total, uint64(i)) })
			}
			wg.Wait()
			for _, c := range []*Conn{h1, h2, v1, v2} {
				c.Close()
			}
			if s := host.Stats(); s.BytesToGuest != uint64(total) || s.BytesFromGuest != uint64(total) || s.Violations != 0 {
				t.Errorf("stats %+v, want %d bytes each way", s, total)
			}
		})
	}
}

// stream sends total bytes from src to dst and compares checksums. Both sides yield at random, so that now the one, now
// the other is ahead.
func stream(t *testing.T, src, dst *Conn, total int64, seed uint64) {
	table := crc64.MakeTable(crc64.ECMA)
	var wg sync.WaitGroup
	var sent, got uint64
	wg.Go(func() {
		r := rand.New(rand.NewPCG(seed, 1))
		p := make([]byte, 256<<10)
		for i := range p {
			p[i] = byte(r.Uint32())
		}
		for left := total; left > 0; {
			n := min(left, 1+r.Int64N(int64(len(p))))
			binary.LittleEndian.PutUint64(p, uint64(left))
			if _, err := src.Write(p[:n]); err != nil {
				t.Errorf("write with %d bytes left: %v", left, err)
				return
			}
			sent = crc64.Update(sent, table, p[:n])
			left -= n
			for range r.IntN(3) {
				runtime.Gosched()
			}
		}
		if err := src.CloseWrite(); err != nil {
			t.Error(err)
		}
	})
	wg.Go(func() {
		r := rand.New(rand.NewPCG(seed, 2))
		p := make([]byte, 300<<10)
		var n int64
		for {
			m, err := dst.Read(p[:1+r.IntN(len(p))])
			got = crc64.Update(got, table, p[:m])
			n += int64(m)
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Errorf("read after %d bytes: %v", n, err)
				return
			}
			for range r.IntN(3) {
				runtime.Gosched()
			}
		}
		if n != total {
			t.Errorf("read %d bytes, want %d", n, total)
		}
	})
	wg.Wait()
	if sent != got {
		t.Errorf("checksum %#x, want %#x", got, sent)
	}
}

// TestReboot resets the device under live connections: they fail with ErrReset, the listener stays and takes the next
// boot's connections.
func TestReboot(t *testing.T) {
	host, err := New(Config{GuestCID: 42})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := host.Dial(context.Background(), 22); !errors.Is(err, ErrNotReady) {
		t.Fatalf("dial before the driver: %v", err)
	}
	l, err := host.Listen(1024)
	if err != nil {
		t.Fatal(err)
	}
	g := newGuest(t, host, 4096, virtiotest.Options{})
	for boot := range 3 {
		v, err := g.dev.Dial(t.Context(), 1024)
		if err != nil {
			t.Fatal(err)
		}
		h, err := l.AcceptVsock()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := v.Write([]byte("before")); err != nil {
			t.Fatal(err)
		}
		var p [6]byte
		if _, err := io.ReadFull(h, p[:]); err != nil || string(p[:]) != "before" {
			t.Fatalf("read %q, %v", p, err)
		}
		read := make(chan error, 1)
		go func() { _, err := h.Read(p[:]); read <- err }()
		wrote := make(chan error, 1)
		go func() { _, err := h.Write(make([]byte, 1<<20)); wrote <- err }() // more than any credit
		g.halt()
		g.drv.Negotiate(0) // resets
		for name, c := range map[string]chan error{"read": read, "write": wrote} {
			if err := <-c; !errors.Is(err, ErrReset) {
				t.Errorf("boot %d: %s: %v, want ErrReset", boot, name, err)
			}
		}
		if err := h.Close(); err != nil {
			t.Error(err)
		}
		if n := host.Stats().Conns; n != 0 {
			t.Errorf("boot %d: %d connections left", boot, n)
		}
		for i := range numQueues {
			g.drv.SetupQueue(i, 16)
		}
		g.drv.DriverOK()
		g.connect(host, 4096)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

// TestPause pauses the queues again and again under a stream. Every pause must come, the stream must stay whole.
func TestPause(t *testing.T) {
	host, err := New(Config{GuestCID: 42})
	if err != nil {
		t.Fatal(err)
	}
	g := newGuest(t, host, 4096, virtiotest.Options{})
	core := g.drv.Transport.(interface {
		Pause(context.Context) error
		Resume()
	})
	h, v := dialGuest(t, host, g, 1024)
	var wg sync.WaitGroup
	wg.Go(func() { stream(t, h, v, 4<<20, 1) })
	wg.Go(func() { stream(t, v, h, 4<<20, 2) })
	ctx, cancel := context.WithTimeout(t.Context(), virtiotest.Patience)
	defer cancel()
	for range 100 {
		if err := core.Pause(ctx); err != nil {
			t.Error(err)
			break
		}
		host.State()
		core.Resume()
		runtime.Gosched()
	}
	wg.Wait()
}

// TestTransportReset wants the event in the event queue, before or after the driver gives a buffer.
func TestTransportReset(t *testing.T) {
	for _, early := range []bool{true, false} {
		host, err := New(Config{GuestCID: 42})
		if err != nil {
			t.Fatal(err)
		}
		host.Restore(State{GuestCID: 43, ResetOwed: early})
		drv := virtiotest.Start(t, host, virtiotest.Options{})
		if got := drv.Config(0, 12); !bytes.Equal(got, []byte{43, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}) {
			t.Errorf("config %x", got)
		}
		q := drv.Queue(queueEvent)
		q.Add(virtiotest.In(4))
		q.Kick()
		if !early {
			host.ResetTransport()
		}
		if r := q.Wait(); r.Written != 4 || !bytes.Equal(r.In[0], []byte{0, 0, 0, 0}) {
			t.Errorf("event %x", r.Bytes())
		}
		if s := host.State(); s.GuestCID != 43 || s.ResetOwed {
			t.Errorf("state %+v", s)
		}
	}
}

// TestBrokenDriver sends chains that no driver may send: the device needs a reset, connections end, nothing hangs.
func TestBrokenDriver(t *testing.T) {
	long := make([]byte, headerSize)
	(*header)(long).set(fields{srcCID: 42, dstCID: HostCID, typ: typeStream, op: opRW, len: 1})
	for _, tt := range []struct {
		name  string
		queue int
		part  virtiotest.Part
	}{
		{"no header", queueTx, virtiotest.Out(make([]byte, headerSize-1))},
		{"payload missing", queueTx, virtiotest.Out(long)},
		{"device-writable packet", queueTx, virtiotest.In(100)},
		{"receive buffer without room", queueRx, virtiotest.In(headerSize)},
		{"receive buffer to read", queueRx, virtiotest.Out(long)},
		{"event buffer without room", queueEvent, virtiotest.In(3)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			host, err := New(Config{GuestCID: 42})
			if err != nil {
				t.Fatal(err)
			}
			drv := virtiotest.Start(t, host, virtiotest.Options{})
			host.events.set(true)
			dialed := make(chan error, 1)
			go func() {
				_, err := host.Dial(t.Context(), 1)
				dialed <- err
			}()
			q := drv.Queue(tt.queue)
			q.Add(tt.part)
			q.Kick()
			drv.NeedsReset()
			if err := <-dialed; !errors.Is(err, ErrReset) && !errors.Is(err, ErrNotReady) {
				t.Errorf("dial: %v", err)
			}
		})
	}
}

// TestStalledGuest gives the device no receive buffers: Dial and Close end, and the guest's other queue works on.
func TestStalledGuest(t *testing.T) {
	host, err := New(Config{GuestCID: 42})
	if err != nil {
		t.Fatal(err)
	}
	l, err := host.Listen(9)
	if err != nil {
		t.Fatal(err)
	}
	drv := virtiotest.Start(t, host, virtiotest.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	dialed := make(chan error, 1)
	go func() { _, err := host.Dial(ctx, 1); dialed <- err }()
	var h header
	h.set(fields{srcCID: 42, dstCID: HostCID, srcPort: 5, dstPort: 9, typ: typeStream, op: opRequest, bufAlloc: 1 << 20})
	q := drv.Queue(queueTx)
	q.Do(virtiotest.Out(h[:]))
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	c.SetWriteDeadline(time.Now().Add(time.Millisecond))
	if n, err := c.Write([]byte("x")); n != 0 || !isTimeout(err) {
		t.Errorf("write: %d, %v", n, err)
	}
	for range 3 * maxResets { // to ports that do not exist
		h.set(fields{srcCID: 42, dstCID: HostCID, srcPort: 6, dstPort: 10, typ: typeStream, op: opCreditRequest})
		q.Do(virtiotest.Out(h[:]))
	}
	if s := host.Stats(); s.Dropped == 0 {
		t.Errorf("no reset was dropped: %+v", s)
	}
	cancel()
	if err := <-dialed; !errors.Is(err, context.Canceled) {
		t.Errorf("dial: %v", err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}

func BenchmarkToGuest(b *testing.B) {
	for _, size := range []int{64, 4 << 10, 64 << 10} {
		b.Run(fmt.Sprintf("write=%d", size), func(b *testing.B) { benchmark(b, size, 4096, true) })
	}
	b.Run("write=65536/buf=64K", func(b *testing.B) { benchmark(b, 64<<10, headerSize+maxPayload, true) })
}

func BenchmarkFromGuest(b *testing.B) {
	for _, size := range []int{64, 4 << 10, 64 << 10} {
		b.Run(fmt.Sprintf("write=%d", size), func(b *testing.B) { benchmark(b, size, 4096, false) })
	}
}

// benchmark streams b.N writes of size bytes. Half of the work measured is the guest's: a second device.
func benchmark(b *testing.B, size int, buf uint64, toGuest bool) {
	host, err := New(Config{GuestCID: 42})
	if err != nil {
		b.Fatal(err)
	}
	g := newGuest(b, host, buf, virtiotest.Options{})
	src, dst := dialGuest(b, host, g, 1024)
	if !toGuest {
		src, dst = dst, src
	}
	done := make(chan error, 1)
	go func() {
		_, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{dst}, make([]byte, 128<<10))
		done <- err
	}()
	p := make([]byte, size)
	b.SetBytes(int64(size))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := src.Write(p); err != nil {
			b.Fatal(err)
		}
	}
	src.CloseWrite()
	if err := <-done; err != nil {
		b.Fatal(err)
	}
}

// BenchmarkRoundTrip is one byte there and back.
func BenchmarkRoundTrip(b *testing.B) {
	host, err := New(Config{GuestCID: 42})
	if err != nil {
		b.Fatal(err)
	}
	g := newGuest(b, host, 4096, virtiotest.Options{})
	h, v := dialGuest(b, host, g, 1024)
	go func() {
		var p [1]byte
		for {
			if _, err := v.Read(p[:]); err != nil {
				return
			}
			v.Write(p[:])
		}
	}()
	var p [1]byte
	b.ReportAllocs()
	for b.Loop() {
		if _, err := h.Write(p[:]); err != nil {
			b.Fatal(err)
		}
		if _, err := h.Read(p[:]); err != nil {
			b.Fatal(err)
		}
	}
	h.Close()
}
