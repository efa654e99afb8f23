package console

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/husk-vm/husk/virtio"
	"github.com/husk-vm/husk/virtio/virtiotest"
)

var update = flag.Bool("update", false, "rewrite the goldens")

// sinkWriter collects what a guest writes.
type sinkWriter struct {
	mu   sync.Mutex
	cond sync.Cond
	b    bytes.Buffer
}

func newSink() *sinkWriter {
	s := &sinkWriter{}
	s.cond.L = &s.mu
	return s
}

func (s *sinkWriter) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.cond.Broadcast()
	return s.b.Write(p)
}

// await waits until n bytes came and returns all.
func (s *sinkWriter) await(n int) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.b.Len() < n {
		s.cond.Wait()
	}
	return s.b.String()
}

// gateReader blocks in Read until it is fed. It counts the bytes asked for.
type gateReader struct {
	c     chan []byte
	reads chan int // the room of each Read, before it blocks
}

func newGateReader() *gateReader {
	return &gateReader{c: make(chan []byte), reads: make(chan int, 1000)}
}

func (g *gateReader) Read(p []byte) (int, error) {
	g.reads <- len(p)
	b, ok := <-g.c
	if !ok {
		return 0, io.EOF
	}
	if len(b) > len(p) {
		panic("test: fed too much")
	}
	return copy(p, b), nil
}

// ram is enough for the driver's rings and buffers of many queues and several resets; the host commits what is touched.
const ram = 1 << 30

func options(t testing.TB) virtiotest.Options {
	return virtiotest.Options{Host: virtiotest.Host(t, ram)}
}

func newDevice(t testing.TB, ports ...Port) *Device {
	t.Helper()
	d, err := New(Config{Ports: ports})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func message(id uint32, e event, value uint16) []byte { return appendControl(nil, id, e, value) }

// talk is a driver that keeps a record of what is said on the control queues.
type talk struct {
	t   *testing.T
	drv *virtiotest.Driver
	log strings.Builder
}

func (c *talk) note(format string, args ...any) { fmt.Fprintf(&c.log, format+"\n", args...) }

// say sends a control message.
func (c *talk) say(id uint32, e event, value uint16) {
	c.t.Helper()
	m := message(id, e, value)
	c.note("> %s   # %s", spaced(m), describe(m))
	c.drv.Queue(queueControlTx).Do(virtiotest.Out(m))
}

// hear takes n messages.
func (c *talk) hear(n int) {
	c.t.Helper()
	q := c.drv.Queue(queueControlRx)
	for range n {
		b := q.Do(virtiotest.In(128)).Bytes()
		c.note("< %s   # %s", spaced(b), describe(b))
	}
}

func spaced(m []byte) string {
	s := fmt.Sprintf("%x %x %x", m[0:4], m[4:6], m[6:8])
	if len(m) > controlSize {
		s += fmt.Sprintf(" %x", m[8:])
	}
	return s
}

// describe spells a message out, written from the spec and not from the device's code [VIRTIO §5.3.6.2].
func describe(m []byte) string {
	names := []string{"DEVICE_READY", "DEVICE_ADD", "DEVICE_REMOVE", "PORT_READY", "CONSOLE_PORT", "RESIZE", "PORT_OPEN", "PORT_NAME"}
	e := binary.LittleEndian.Uint16(m[4:])
	s := fmt.Sprintf("port %d %s %d", binary.LittleEndian.Uint32(m[0:]), names[e], binary.LittleEndian.Uint16(m[6:]))
	switch {
	case e == 5:
		s += fmt.Sprintf(" cols %d rows %d", binary.LittleEndian.Uint16(m[8:]), binary.LittleEndian.Uint16(m[10:]))
	case len(m) > 8:
		s += fmt.Sprintf(" %q", m[8:])
	}
	return s
}

func (c *talk) golden(name string) {
	c.t.Helper()
	name = "testdata/" + name
	if *update {
		if err := os.WriteFile(name, []byte(c.log.String()), 0o644); err != nil {
			c.t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		c.t.Fatal(err)
	}
	if c.log.String() != string(want) {
		c.t.Errorf("%s: got\n%s", name, c.log.String())
	}
}

// TestConversation holds the control protocol against a golden: two ports, sizes before and after the driver, the end
// of an input, a second driver.
func TestConversation(t *testing.T) {
	d := newDevice(t,
		Port{Console: true, Out: newSink()},
		Port{Name: "org.husk.agent", In: strings.NewReader("hi"), Out: newSink()},
		Port{Name: "config", In: strings.NewReader("k=v")},
	)
	if err := d.Resize(0, 80, 25); err != nil {
		t.Fatal(err)
	}
	c := &talk{t: t, drv: virtiotest.Start(t, d, options(t))}
	c.note("# the driver is ready: three ports are added, each by its own message [VIRTIO §5.3.6.2]")
	c.say(0xffffffff, eventDeviceReady, 1)
	c.hear(3)
	c.note("# port 0 is a console, and its size is known already")
	c.say(0, eventPortReady, 1)
	c.hear(3)
	c.say(0, eventPortOpen, 1)
	c.note("# the others have names")
	c.say(1, eventPortReady, 1)
	c.hear(2)
	c.say(2, eventPortReady, 1)
	c.hear(2)
	c.note("# the window changes")
	if err := d.Resize(0, 132, 50); err != nil {
		t.Fatal(err)
	}
	c.hear(1)
	c.note("# port 2 is opened, its input ends: the host hangs up")
	c.say(2, eventPortOpen, 1)
	if got := c.drv.Queue(6).Do(virtiotest.In(100)).Bytes(); string(got) != "k=v" {
		t.Errorf("port 2: %q", got)
	}
	c.hear(1)
	c.note("# what makes no sense gets no answer")
	c.say(3, eventPortReady, 1)
	c.say(1, 2, 1)
	c.say(1, eventPortReady, 0)
	c.note("# a second driver starts from nothing, and hears of the last size")
	c.drv.Negotiate(0)
	for i := range d.QueueSizes() {
		c.drv.SetupQueue(i, 8)
	}
	c.drv.DriverOK()
	c.say(0, eventDeviceReady, 1)
	c.hear(3)
	c.say(0, eventPortReady, 1)
	c.hear(3)
	c.golden("multiport.txt")
	if n := d.ctl.ignored.Load(); n != 2 {
		t.Errorf("%d messages ignored, want 2", n)
	}
}

// TestSinglePort is a console without MULTIPORT: size in the configuration space, bytes both ways, from the start.
func TestSinglePort(t *testing.T) {
	for _, tt := range []struct {
		name    string
		ports   []Port
		without virtio.Features
		queues  int
	}{
		{name: "not offered", ports: []Port{{Console: true}}, queues: 2},
		{name: "not taken", ports: []Port{{Console: true}, {Name: "x"}}, without: featMultiport, queues: 6},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out, in := newSink(), newGateReader()
			tt.ports[0].In, tt.ports[0].Out = in, out
			d := newDevice(t, tt.ports...)
			if n := len(d.QueueSizes()); n != tt.queues {
				t.Fatalf("%d queues, want %d", n, tt.queues)
			}
			if err := d.Resize(0, 80, 25); err != nil {
				t.Fatal(err)
			}
			drv := virtiotest.Start(t, d, virtiotest.Options{Without: tt.without, Host: virtiotest.Host(t, ram)})
			<-drv.Transport.ConfigInterrupt()
			want := []byte{80, 0, 25, 0, byte(len(tt.ports)), 0, 0, 0, 0, 0, 0, 0, 0}
			if got := drv.Config(0, 13); !bytes.Equal(got, want) {
				t.Errorf("config %x, want %x", got, want)
			}
			if err := d.Resize(0, 0x102, 0x304); err != nil {
				t.Fatal(err)
			}
			<-drv.Transport.ConfigInterrupt()
			if got := drv.Config(1, 2); !bytes.Equal(got, []byte{1, 4}) {
				t.Errorf("config at 1 %x", got)
			}
			in.c <- []byte("date\n")
			if got := drv.Queue(0).Do(virtiotest.In(3)).Bytes(); string(got) != "dat" {
				t.Errorf("read %q", got)
			}
			if got := drv.Queue(0).Do(virtiotest.In(1), virtiotest.In(9)).Bytes(); string(got) != "e\n" {
				t.Errorf("read %q", got)
			}
			drv.Queue(1).Do(virtiotest.Out([]byte("hello, ")), virtiotest.Out([]byte("world")))
			if got := out.await(12); got != "hello, world" {
				t.Errorf("wrote %q", got)
			}
			close(in.c)
		})
	}
}

// TestEmergencyWrite writes a character before the device has any queue.
func TestEmergencyWrite(t *testing.T) {
	out := newSink()
	d := newDevice(t, Port{Console: true, Out: out})
	for _, c := range "panic" {
		d.WriteConfig(emergWriteAt, []byte{byte(c), 0xff, 0, 0})
	}
	d.WriteConfig(0, []byte("no"))
	d.WriteConfig(emergWriteAt, nil)
	if got := out.await(5); got != "panic" {
		t.Errorf("wrote %q", got)
	}
	mute := newDevice(t, Port{Console: true})
	mute.WriteConfig(emergWriteAt, []byte{1})
	if s := mute.Stats(0); s != (Stats{Lost: 1}) {
		t.Errorf("stats %+v", s)
	}
}

// stuckWriter blocks in Write until it is released.
type stuckWriter struct{ entered, release chan struct{} }

func (w *stuckWriter) Write(p []byte) (int, error) {
	w.entered <- struct{}{}
	<-w.release
	return len(p), nil
}

// TestStuckWriter wants a reset to go through while the host's writer blocks and the buffer is full, other ports to work
// meanwhile, and what the device took to be written in the end.
func TestStuckWriter(t *testing.T) {
	w := &stuckWriter{make(chan struct{}, 1000), make(chan struct{})}
	out := newSink()
	d := newDevice(t, Port{Console: true, Out: w}, Port{Name: "other", Out: out})
	drv := virtiotest.Start(t, d, options(t))
	q := drv.Queue(1)
	q.Do(virtiotest.Out(make([]byte, 30<<10)))
	<-w.entered
	q.Do(virtiotest.Out(make([]byte, 30<<10)))
	q.Add(virtiotest.Out(make([]byte, 40<<10))) // no room for it
	q.Kick()
	drv.Queue(5).Do(virtiotest.Out([]byte("fine")))
	if got := out.await(4); got != "fine" {
		t.Errorf("other port wrote %q", got)
	}
	core := drv.Transport.(interface {
		Pause(context.Context) error
		Resume()
	})
	patience, cancel := context.WithTimeout(t.Context(), virtiotest.Patience)
	defer cancel()
	if err := core.Pause(patience); err != nil {
		t.Errorf("pause: %v", err)
	}
	core.Resume()
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := d.Flush(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("flush: %v", err)
	}
	drv.Negotiate(0) // resets: must not wait for the writer
	close(w.release)
	if err := d.Flush(t.Context()); err != nil {
		t.Errorf("flush: %v", err)
	}
	if s := d.Stats(0); s.Out != 60<<10 || s.Lost != 0 {
		t.Errorf("stats %+v, want 60 KiB out: the third chain was never taken", s)
	}
}

// TestLongChain is more output in one chain than the buffer holds; and its end when the guest resets in the middle.
func TestLongChain(t *testing.T) {
	out := newSink()
	d := newDevice(t, Port{Console: true, Out: out})
	drv := virtiotest.Start(t, d, options(t))
	p := bytes.Repeat([]byte("0123456789abcdef"), 10<<10)
	drv.Queue(1).Do(virtiotest.Out(p))
	if got := out.await(len(p)); got != string(p) {
		t.Error("output differs")
	}

	w := &stuckWriter{make(chan struct{}, 1000), make(chan struct{})}
	d = newDevice(t, Port{Console: true, Out: w})
	drv = virtiotest.Start(t, d, options(t))
	q := drv.Queue(1)
	q.Add(virtiotest.Out(p))
	q.Kick()
	<-w.entered
	drv.Negotiate(0)
	close(w.release)
	if err := d.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s := d.Stats(0); s.Out+s.Lost != uint64(len(p)) || s.Lost == 0 {
		t.Errorf("stats %+v, want %d in all", s, len(p))
	}
}

// failWriter takes some bytes and then fails.
type failWriter struct{ n int }

func (w *failWriter) Write(p []byte) (int, error) {
	if len(p) > w.n {
		n := w.n
		w.n = 0
		return n, io.ErrClosedPipe
	}
	w.n -= len(p)
	return len(p), nil
}

// TestFailedWriter wants a guest to write on after its console broke.
func TestFailedWriter(t *testing.T) {
	d := newDevice(t, Port{Console: true, Out: &failWriter{n: 3}})
	drv := virtiotest.Start(t, d, options(t))
	const chunk, times = 20 << 10, 20
	for range times {
		drv.Queue(1).Do(virtiotest.Out(make([]byte, chunk)))
	}
	if err := d.Flush(t.Context()); err != nil {
		t.Error(err)
	}
	if s := d.Stats(0); s.Out != 3 || s.Lost != chunk*times-3 {
		t.Errorf("stats %+v", s)
	}
}

// TestInputSurvivesReset wants a Read that blocks over a reset to serve the next driver, and read-ahead to be bounded.
func TestInputSurvivesReset(t *testing.T) {
	in := newGateReader()
	d := newDevice(t, Port{Console: true, In: in})
	drv := virtiotest.Start(t, d, options(t))
	if room := <-in.reads; room != inputBytes {
		t.Errorf("first read has room for %d bytes", room)
	}
	drv.Negotiate(0) // resets, with the Read under way
	in.c <- []byte("typed while nobody listened\n")
	for i := range d.QueueSizes() {
		drv.SetupQueue(i, 8)
	}
	drv.DriverOK()
	if got := drv.Queue(0).Do(virtiotest.In(100)).Bytes(); string(got) != "typed while nobody listened\n" {
		t.Errorf("read %q", got)
	}
	// A guest that gives no buffers: the pump reads what the buffer holds, no more.
	room := <-in.reads
	in.c <- make([]byte, room)
	room = inputBytes - room
	for room > 0 {
		n := <-in.reads
		if n > room {
			t.Fatalf("read of %d bytes with room for %d", n, room)
		}
		in.c <- make([]byte, n)
		room -= n
	}
	select {
	case n := <-in.reads:
		t.Errorf("read of %d bytes into a full buffer", n)
	default:
	}
	close(in.c)
}

// TestLateOpen is a guest's PORT_OPEN that the control worker acts on while the device stops: it must not open the port
// for the next driver.
func TestLateOpen(t *testing.T) {
	in := newGateReader()
	d := newDevice(t, Port{Name: "p", In: in})
	i := &d.ports[0].in
	i.start()
	i.stop()
	i.setOpen(true)
	i.start()
	if i.isOpen() || i.pumping {
		t.Error("the port is open")
	}
}

// TestClosedPortReadsNothing wants the host's reader to be left alone until the guest opens the port.
func TestClosedPortReadsNothing(t *testing.T) {
	in := newGateReader()
	d := newDevice(t, Port{Name: "p", In: in, Out: io.Discard})
	c := &talk{t: t, drv: virtiotest.Start(t, d, options(t))}
	c.say(0, eventDeviceReady, 1)
	c.hear(1)
	c.say(0, eventPortReady, 1)
	c.hear(2)
	q := c.drv.Queue(0)
	q.Add(virtiotest.In(100))
	q.Kick()
	if len(in.reads) != 0 || d.ports[0].in.pumping {
		t.Error("the reader of a closed port was read")
	}
	c.say(0, eventPortOpen, 1)
	in.c <- []byte("x")
	if got := q.Wait().Bytes(); string(got) != "x" {
		t.Errorf("read %q", got)
	}
	c.say(0, eventPortOpen, 0)
	in.c <- []byte("for the next to open") // the Read under way
	q.Add(virtiotest.In(100))
	q.Kick()
	if s := d.Stats(0); s.In != 1 {
		t.Errorf("stats %+v", s)
	}
	c.say(0, eventPortOpen, 1)
	if got := q.Wait().Bytes(); string(got) != "for the next to open" {
		t.Errorf("read %q", got)
	}
	close(in.c)
}

// TestCloseInterruptsRead wants Close to end a Read that has deadlines, and to leave the reader usable.
func TestCloseInterruptsRead(t *testing.T) {
	host, far := net.Pipe()
	d := newDevice(t, Port{Console: true, In: host})
	drv := virtiotest.Start(t, d, options(t))
	go far.Write([]byte("a"))
	if got := drv.Queue(0).Do(virtiotest.In(1)).Bytes(); string(got) != "a" {
		t.Fatalf("read %q", got)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	d.ports[0].in.pump.Wait()
	go far.Write([]byte("b"))
	var p [1]byte
	if _, err := host.Read(p[:]); err != nil || p[0] != 'b' {
		t.Errorf("read after close: %q, %v", p, err)
	}
	drv.Negotiate(0)
	for i := range d.QueueSizes() {
		drv.SetupQueue(i, 8)
	}
	drv.Transport.SetStatus(virtio.StatusAcknowledge | virtio.StatusDriver | virtio.StatusFeaturesOK | virtio.StatusDriverOK)
	drv.NeedsReset() // a closed device does not start
}

// TestSnapshot moves the control protocol's state to another device, in the middle of a conversation.
func TestSnapshot(t *testing.T) {
	ports := []Port{{Console: true}, {Name: "agent"}}
	d := newDevice(t, ports...)
	c := &talk{t: t, drv: virtiotest.Start(t, d, options(t))}
	c.say(0, eventDeviceReady, 1)
	c.hear(2)
	c.say(1, eventPortReady, 1)
	c.hear(1)
	c.say(1, eventPortOpen, 1)
	if err := d.Resize(0, 90, 30); err != nil {
		t.Fatal(err)
	}
	s := d.State()

	ports[1].In = strings.NewReader("go on")
	d2 := newDevice(t, ports...)
	if err := d2.Restore(s); err != nil {
		t.Fatal(err)
	}
	c2 := &talk{t: t, drv: virtiotest.Start(t, d2, options(t))}
	c2.hear(1)
	if got := c2.drv.Queue(4).Do(virtiotest.In(100)).Bytes(); string(got) != "go on" {
		t.Errorf("read %q", got)
	}
	if got, want := c2.log.String(), "< 01000000 0600 0100   # port 1 PORT_OPEN 1\n"; got != want {
		t.Errorf("got %q, want %q: PORT_NAME was told before", got, want)
	}
	if got := d2.State(); got.Ports[0].Cols != 90 || !got.Ports[1].Ready || !got.Ports[1].Open {
		t.Errorf("state %+v", got)
	}
	if err := d2.Restore(State{}); err == nil {
		t.Error("a state of no ports was taken")
	}
}

// TestBrokenDriver sends chains that no driver may send.
func TestBrokenDriver(t *testing.T) {
	for _, tt := range []struct {
		name  string
		queue int
		part  virtiotest.Part
	}{
		{"short message", queueControlTx, virtiotest.Out(make([]byte, controlSize-1))},
		{"message to write", queueControlTx, virtiotest.In(controlSize)},
		{"short control buffer", queueControlRx, virtiotest.In(controlSize - 1)},
		{"receive buffer to read", 0, virtiotest.Out([]byte("x"))},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := newDevice(t, Port{Console: true, In: strings.NewReader("x")}, Port{})
			drv := virtiotest.Start(t, d, options(t))
			drv.Queue(queueControlTx).Do(virtiotest.Out(message(0, eventDeviceReady, 1)))
			drv.Queue(queueControlTx).Do(virtiotest.Out(message(0, eventPortOpen, 1)))
			q := drv.Queue(tt.queue)
			q.Add(tt.part)
			q.Kick()
			drv.NeedsReset()
		})
	}
}

func TestConfigErrors(t *testing.T) {
	for _, tt := range []struct {
		name  string
		ports []Port
	}{
		{"none", nil},
		{"too many", make([]Port, MaxPorts+1)},
		{"slash", []Port{{Name: "a/b"}}},
		{"dot dot", []Port{{Name: ".."}}},
		{"nul", []Port{{Name: "a\x00"}}},
		{"long", []Port{{Name: strings.Repeat("a", MaxName+1)}}},
		{"twice", []Port{{Name: "a"}, {Name: "a"}}},
	} {
		if _, err := New(Config{Ports: tt.ports}); err == nil {
			t.Errorf("%s: no error", tt.name)
		}
	}
	d := newDevice(t, make([]Port, MaxPorts)...)
	for _, port := range []int{-1, 0, MaxPorts} {
		if err := d.Resize(port, 1, 1); err == nil {
			t.Errorf("resize of port %d: no error", port)
		}
	}
}

func TestRing(t *testing.T) {
	q := ring{limit: 7}
	var model []byte
	for i := range 1000 {
		p := bytes.Repeat([]byte{byte(i)}, i*5%9)
		n := q.put(p)
		if n != min(len(p), 7-len(model)) {
			t.Fatalf("put %d of %d with %d stored", n, len(p), len(model))
		}
		model = append(model, p[:n]...)
		out := make([]byte, i*3%6)
		n = q.take(out)
		if n != min(len(out), len(model)) || !bytes.Equal(out[:n], model[:n]) {
			t.Fatalf("take: %x, want %x", out[:n], model)
		}
		model = model[n:]
	}
}

// TestHammer resets, resizes and talks on all ports at once; for the race detector.
func TestHammer(t *testing.T) {
	r, w := io.Pipe()
	d := newDevice(t, Port{Console: true, In: r, Out: io.Discard}, Port{Name: "a", In: r, Out: io.Discard})
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := uint16(1); ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			d.Resize(0, i, i)
			d.State()
			d.Stats(1)
			d.WriteConfig(emergWriteAt, []byte{'.'})
		}
	})
	go func() {
		for {
			if _, err := w.Write([]byte("input")); err != nil {
				return
			}
		}
	}()
	drv := virtiotest.New(t, d, options(t))
	for round := range 20 {
		drv.Negotiate(0)
		for i := range d.QueueSizes() {
			drv.SetupQueue(i, 16)
		}
		drv.DriverOK()
		ctl := drv.Queue(queueControlTx)
		for range 10 {
			drv.Queue(queueControlRx).Add(virtiotest.In(128))
		}
		drv.Queue(queueControlRx).Kick()
		ctl.Do(virtiotest.Out(message(0, eventDeviceReady, 1)))
		for id := range uint32(2) {
			ctl.Do(virtiotest.Out(message(id, eventPortReady, 1)))
			ctl.Do(virtiotest.Out(message(id, eventPortOpen, 1)))
			rx, tx := d.ports[id].queues()
			drv.Queue(tx).Do(virtiotest.Out(make([]byte, 5000)))
			if got := drv.Queue(rx).Do(virtiotest.In(10 + round)).Bytes(); len(got) == 0 {
				t.Error("nothing to read")
			}
			drv.Queue(rx).Add(virtiotest.In(10))
			drv.Queue(rx).Kick()
		}
	}
	close(stop)
	wg.Wait()
	r.Close()
	w.Close()
}

// TestAllocs wants the byte paths of both directions to allocate nothing.
func TestAllocs(t *testing.T) {
	var in input
	in.init(strings.NewReader(""), func() {})
	p := make([]byte, 100)
	in.arrived(p, nil)
	n := testing.AllocsPerRun(1000, func() { in.take(p); in.arrived(p, nil) })
	t.Logf("allocations: %v an input of 100 bytes", n)
	if n != 0 {
		t.Errorf("input: %v allocations", n)
	}
	var out output
	out.init(io.Discard, func(error) {})
	out.pumping = true // by hand
	out.offer(p)
	n = testing.AllocsPerRun(1000, func() {
		b, _ := out.waitData()
		out.wrote(len(b), nil)
		out.offer(p)
	})
	t.Logf("allocations: %v an output of 100 bytes", n)
	if n != 0 {
		t.Errorf("output: %v allocations", n)
	}
}

// BenchmarkOutput writes pages from the guest to a writer that takes them at once. Allocations are the driver's.
func BenchmarkOutput(b *testing.B) {
	d := newDevice(b, Port{Console: true, Out: io.Discard})
	q := virtiotest.Start(b, d, options(b)).Queue(1)
	page := virtiotest.Out(make([]byte, 4096))
	b.SetBytes(4096)
	for b.Loop() {
		q.Do(page)
	}
}

// BenchmarkInput reads pages that the host has ready.
func BenchmarkInput(b *testing.B) {
	r, w := io.Pipe()
	d := newDevice(b, Port{Console: true, In: r})
	q := virtiotest.Start(b, d, options(b)).Queue(0)
	go func() {
		for {
			if _, err := w.Write(make([]byte, 4096)); err != nil {
				return
			}
		}
	}()
	b.SetBytes(4096)
	for b.Loop() {
		for left := 4096; left > 0; {
			left -= len(q.Do(virtiotest.In(left)).Bytes())
		}
	}
	r.Close()
}
