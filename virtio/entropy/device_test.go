package entropy_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/husk-vm/husk/virtio"
	"github.com/husk-vm/husk/virtio/entropy"
	"github.com/husk-vm/husk/virtio/virtiotest"
)

const (
	maxRequest = 64 << 10
	unwritten  = 0xee // what virtiotest fills buffers with
)

// counting is a source whose byte i is a function of i that never is unwritten; it may return less than asked for.
type counting struct {
	n     int
	short bool
	limit int // bytes before err; 0 means no limit
	err   error
}

func (c *counting) Read(p []byte) (int, error) {
	if c.short && len(p) > 7 {
		p = p[:7]
	}
	for i := range p {
		if c.limit != 0 && c.n >= c.limit {
			return i, c.err
		}
		p[i] = byte(c.n % 101)
		c.n++
	}
	return len(p), nil
}

func start(t testing.TB, source io.Reader) (*entropy.Device, *virtiotest.Driver) {
	t.Helper()
	dev, err := entropy.New(source)
	if err != nil {
		t.Fatal(err)
	}
	return dev, virtiotest.Start(t, dev, virtiotest.Options{})
}

func TestFill(t *testing.T) {
	for _, short := range []bool{false, true} {
		dev, d := start(t, &counting{short: short})
		want := &counting{}
		total := uint64(0)
		for i, c := range []struct{ sizes []int }{
			{[]int{1}},
			{[]int{64}},
			{[]int{4096}},
			{[]int{4097}},
			{[]int{0, 3, 0, 5000, 1}},
			{[]int{maxRequest}},
			{[]int{maxRequest - 1, 1, 1}},
			{[]int{3 * maxRequest}},
		} {
			var parts []virtiotest.Part
			n := 0
			for _, size := range c.sizes {
				parts = append(parts, virtiotest.In(size))
				n += size
			}
			r := d.Queue(0).Do(parts...)
			got := bytes.Join(r.In, nil)
			filled := min(n, maxRequest)
			p := make([]byte, filled)
			if _, err := io.ReadFull(want, p); err != nil {
				t.Fatal(err)
			}
			if r.Written != uint32(filled) || !bytes.Equal(got[:filled], p) {
				t.Errorf("request %d: %d bytes of %d, or they differ", i, r.Written, filled)
			}
			if rest := got[filled:]; !bytes.Equal(rest, bytes.Repeat([]byte{unwritten}, len(rest))) {
				t.Errorf("request %d: bytes after the first %d changed", i, filled)
			}
			total += uint64(filled)
		}
		if s := dev.Stats(); s != (entropy.Stats{Requests: 8, Bytes: total}) {
			t.Errorf("counters %+v, want 8 requests of %d bytes", s, total)
		}
	}
}

// TestSourceFails ends the device rather than hand out bytes that nobody made; after a reset it works again.
func TestSourceFails(t *testing.T) {
	source := &counting{limit: 5000, err: errors.New("no more")}
	dev, d := start(t, source)
	d.Queue(0).Do(virtiotest.In(100))
	d.Queue(0).Add(virtiotest.In(8192))
	d.Queue(0).Kick()
	d.NeedsReset()
	if _, used := d.Queue(0).Take(); used {
		t.Error("a request that failed came back")
	}
	if s := dev.Stats(); s.Errors != 1 || s.Bytes != 100 {
		t.Errorf("counters %+v", s)
	}
	d.Transport.SetStatus(0)
	source.limit = 0
	d = virtiotest.Start(t, dev, virtiotest.Options{})
	if r := d.Queue(0).Do(virtiotest.In(64)); r.Written != 64 {
		t.Errorf("after the reset: %d bytes", r.Written)
	}
}

func TestBrokenRequests(t *testing.T) {
	for name, parts := range map[string][]virtiotest.Part{
		"readable only":     {virtiotest.Out([]byte("seed"))},
		"readable and room": {virtiotest.Out([]byte("seed")), virtiotest.In(64)},
		"nothing to fill":   {virtiotest.In(0)},
	} {
		t.Run(name, func(t *testing.T) {
			source := &counting{}
			dev, d := start(t, source)
			d.Queue(0).Add(parts...)
			d.Queue(0).Kick()
			d.NeedsReset()
			if s := dev.Stats(); s != (entropy.Stats{Broken: 1}) || source.n != 0 {
				t.Errorf("counters %+v, %d bytes taken from the source", s, source.n)
			}
		})
	}
}

// blocking is a source that waits.
type blocking struct {
	entered, release chan struct{}
	left             bool
}

func (b *blocking) Read(p []byte) (int, error) {
	b.entered <- struct{}{}
	<-b.release
	b.left = true
	return len(p), nil
}

func TestStopWaits(t *testing.T) {
	source := &blocking{entered: make(chan struct{}), release: make(chan struct{})}
	_, d := start(t, source)
	d.Queue(0).Add(virtiotest.In(64))
	d.Queue(0).Kick()
	<-source.entered
	reset := make(chan struct{})
	go func() {
		defer close(reset)
		d.Transport.SetStatus(0)
	}()
	// Nothing orders these events: a device that does not wait is found because it has the time to be wrong.
	select {
	case <-reset:
		t.Fatal("reset complete with a read of the source under way")
	case <-time.After(20 * time.Millisecond):
	}
	close(source.release)
	<-reset
	if !source.left { // the race detector judges, too
		t.Error("Stop returned before the source did")
	}
}

func TestNoAllocations(t *testing.T) {
	_, d := start(t, &counting{})
	q := d.Queue(0)
	buf := d.Alloc(4096, 4096)
	var p [16]byte
	virtiotest.PutDesc(p[:], uint64(buf.Addr()), 4096, 2, 0)
	if err := q.Desc.Write(0, p[:]); err != nil {
		t.Fatal(err)
	}
	taken := uint16(0)
	n := testing.AllocsPerRun(100, func() {
		// Ask for an interrupt after the next entry.
		if err := q.Avail.Store16(4+2*uint64(q.Size), taken); err != nil {
			t.Fatal(err)
		}
		q.PostHead(0)
		q.Kick()
		taken++
		for {
			if idx, err := q.Used.Load16(2); err != nil || idx == taken {
				return
			}
			<-d.Transport.Interrupt(0)
		}
	})
	t.Logf("allocations: %v a request", n)
	if n != 0 {
		t.Errorf("%v allocations a request", n)
	}
}

func TestDevice(t *testing.T) {
	if _, err := entropy.New(nil); err == nil || !strings.Contains(err.Error(), "no source") {
		t.Errorf("no source: %v", err)
	}
	dev, err := entropy.New(&counting{})
	if err != nil {
		t.Fatal(err)
	}
	if dev.Type() != 4 || dev.Features() != 0 || len(dev.QueueSizes()) != 1 {
		t.Errorf("type %d, features %#x, queues %v", dev.Type(), dev.Features(), dev.QueueSizes())
	}
	p := []byte{1, 2, 3}
	dev.WriteConfig(0, p)
	if dev.ReadConfig(0, p); !bytes.Equal(p, make([]byte, 3)) {
		t.Errorf("configuration space % x", p)
	}
	if err := dev.Restore(dev.State()); err != nil {
		t.Error(err)
	}
	a := virtio.Activation{Queues: []*virtio.Queue{nil}}
	if err := dev.Start(a); err != nil {
		t.Fatal(err)
	}
	if err := dev.Start(a); err == nil {
		t.Error("second Start: no error")
	}
	dev.Stop()
	if err := dev.Start(virtio.Activation{Queues: make([]*virtio.Queue, 2)}); err == nil {
		t.Error("two queues: no error")
	}
}

// FuzzFill asks for buffers of any shape, several at a time: the guest gets the source's bytes, each once and in order,
// no more than the bound, and nothing else changes (virtiotest looks at the edges).
func FuzzFill(f *testing.F) {
	f.Add([]byte{1, 0, 64})
	f.Add([]byte{3, 0, 0, 16, 1, 0, 7, 2, 255, 255, 0, 0, 9})
	f.Fuzz(func(t *testing.T, p []byte) {
		dev, d := start(t, &counting{short: len(p)%2 == 1})
		q := d.Queue(0)
		sent, got := sha256.New(), sha256.New()
		want := &counting{}
		var total uint64
		for requests := 0; len(p) >= 3 && requests < 20; requests++ {
			var parts []virtiotest.Part
			n := 0
			for k := 1 + int(p[0])%4; k > 0 && len(p) >= 3; k-- {
				size := int(p[1])<<8 | int(p[2])
				parts = append(parts, virtiotest.In(size))
				n += size
				p = p[3:]
			}
			q.Add(parts...)
			q.Kick()
			if n == 0 {
				d.NeedsReset()
				return
			}
			r := q.Wait()
			if int(r.Written) != min(n, maxRequest) {
				t.Fatalf("%d bytes into %d", r.Written, n)
			}
			got.Write(r.Bytes())
			if _, err := io.CopyN(sent, want, int64(r.Written)); err != nil {
				t.Fatal(err)
			}
			total += uint64(r.Written)
		}
		if !bytes.Equal(sent.Sum(nil), got.Sum(nil)) {
			t.Fatal("the guest did not get the source's bytes in order")
		}
		if s := dev.Stats(); s.Bytes != total || s.Broken != 0 {
			t.Fatalf("counters %+v, want %d bytes", s, total)
		}
	})
}
