package virtio_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/husk-vm/husk/virtio"
	"github.com/husk-vm/husk/virtio/virtiotest"
)

func TestEcho(t *testing.T) {
	virtiotest.NoLeak(t)
	for _, f := range []struct {
		name    string
		without virtio.Features
	}{
		{"all features", 0},
		{"no event index", virtio.FeatureEventIdx},
		{"no indirect", virtio.FeatureIndirectDesc},
	} {
		t.Run(f.name, func(t *testing.T) {
			d := virtiotest.Start(t, &echo{}, virtiotest.Options{Without: f.without})
			q := d.Queue(0)
			for i := range 100 {
				out := bytes.Repeat([]byte{byte(i)}, 5)
				r := q.Do(virtiotest.Out(out[:3]), virtiotest.Out(out[3:]), virtiotest.In(1), virtiotest.In(10))
				if r.Written != 5 || !bytes.Equal(r.Bytes(), out) {
					t.Fatalf("request %d: %+v", i, r)
				}
				if f.without.Has(virtio.FeatureIndirectDesc) {
					continue
				}
				q.AddIndirect(virtiotest.Out(out), virtiotest.In(2), virtiotest.In(3))
				q.Kick()
				if r := q.Wait(); !bytes.Equal(r.Bytes(), out) {
					t.Fatalf("indirect request %d: %+v", i, r)
				}
			}
		})
	}
}

func TestReleaseInAnyOrder(t *testing.T) {
	q, dq, _ := startProbe(t, 8, 0)
	for round := range 40 { // across the wrap of the rings
		var held []*virtio.Chain
		var heads []uint16
		for i := range 8 {
			heads = append(heads, dq.Add(virtiotest.Out([]byte{byte(round + i)})))
		}
		for i := range 8 {
			c, err := q.Pop()
			if err != nil || c == nil {
				t.Fatalf("pop %d: %v, %v", i, c, err)
			}
			held = append(held, c)
		}
		if c, err := q.Pop(); c != nil || err != nil {
			t.Fatalf("a ninth chain: %v, %v", c, err)
		}
		for i := range 8 {
			j := (i*3 + round) % 8
			var b [1]byte
			if err := held[j].ReadAt(b[:], 0); err != nil || b[0] != byte(round+j) {
				t.Fatalf("chain %d: %d, %v", j, b[0], err)
			}
			held[j].Release(0)
		}
		if _, ok := dq.Take(); ok {
			t.Fatal("published before Flush")
		}
		q.Flush()
		for i := range 8 {
			if r, ok := dq.Take(); !ok || r.Head != heads[(i*3+round)%8] {
				t.Fatalf("used %d: %+v, %v", i, r, ok)
			}
		}
	}
}

func TestHeadTwice(t *testing.T) {
	q, dq, _ := startProbe(t, 4, 0)
	head := dq.Add(virtiotest.Out([]byte("x")))
	dq.PostHead(head)
	c, err := q.Pop()
	if err != nil {
		t.Fatal(err)
	}
	var guest *virtio.GuestError
	if _, err := q.Pop(); !errors.As(err, &guest) {
		t.Fatalf("second use of a head: %v", err)
	}
	c.Release(0) // must not panic; the driver never sees it
}

// TestNotifications counts what each side asks of the other with and without event indices.
func TestNotifications(t *testing.T) {
	for _, without := range []virtio.Features{0, virtio.FeatureEventIdx} {
		t.Run(fmt.Sprintf("without %#x", uint64(without)), func(t *testing.T) {
			q, dq, _ := startProbe(t, 8, without)
			out := virtiotest.Out([]byte("x"))
			serve := func() (n int) {
				for {
					c, err := q.Pop()
					if err != nil {
						t.Fatal(err)
					}
					if c == nil {
						return n
					}
					c.Release(0)
					n++
				}
			}
			// A driver that adds one and kicks wakes a device that waits.
			dq.Add(out)
			if !dq.Kick() {
				t.Fatal("the first chain needs a kick")
			}
			if !q.Wait() {
				t.Fatal("Wait")
			}
			if without == 0 && load16(t, dq.Used, 0) != 0 {
				t.Error("with event indices the flags stay 0")
			}
			serve()
			q.Flush()
			// While the device is awake the driver need not kick.
			dq.Add(out)
			if dq.Kick() {
				t.Error("kick while the device is busy")
			}
			if n := serve(); n != 1 {
				t.Errorf("%d chains", n)
			}
			q.Flush()
			// A driver that does not want interrupts gets none.
			if without == 0 {
				store16(t, dq.Avail, 4+2*8, 1000)
			} else {
				store16(t, dq.Avail, 0, 1)
			}
			before := q.Counters()
			dq.Add(out)
			serve()
			q.Flush()
			if n := q.Counters(); n.Sent != before.Sent || n.Suppressed != before.Suppressed+1 {
				t.Errorf("counters %+v, then %+v", before, n)
			}
		})
	}
}

// TestWake: Wake before Wait, Wake during Wait, many for one, and none lost to an available chain.
func TestWake(t *testing.T) {
	q, dq, _ := startProbe(t, 4, 0)
	q.Wake()
	q.Wake()
	if !q.Wait() {
		t.Fatal("stopped")
	}
	if c, err := q.Pop(); c != nil || err != nil {
		t.Fatal(c, err)
	}
	done := make(chan bool)
	go func() { done <- q.Wait() }()
	q.Wake()
	if !<-done {
		t.Fatal("stopped")
	}
	dq.Add(virtiotest.In(0))
	q.Wake()
	if !q.Wait() {
		t.Fatal("stopped")
	}
	if c, _ := q.Pop(); c == nil {
		t.Fatal("no chain")
	}
}

func TestStopEndsWait(t *testing.T) {
	p := &probe{sizes: []uint16{4}}
	d := virtiotest.Start(t, p, virtiotest.Options{})
	q := p.a.Queues[0]
	done := make(chan bool)
	go func() { done <- q.Wait() }()
	d.Transport.SetStatus(0)
	if <-done {
		t.Error("Wait returned true after a reset")
	}
	d.Queue(0).Add(virtiotest.In(1))
	if c, err := q.Pop(); c != nil || err != nil {
		t.Errorf("Pop after a reset: %v, %v", c, err)
	}
	q.Wake()
	if q.Wait() {
		t.Error("Wait returned true again")
	}
}

// TestLongChainsShareRoom: chains that all are as long as they may be meet the bound of one queue's pieces. Then Pop says
// "nothing now" until some are released, nothing is lost, and the memory in use is bounded.
func TestLongChainsShareRoom(t *testing.T) {
	const size, long = 1024, 1000
	host := virtiotest.Host(t, 256<<20)
	p := &probe{sizes: []uint16{size}}
	d := virtiotest.Start(t, p, virtiotest.Options{Host: host})
	q, dq := p.a.Queues[0], d.Queue(0)
	var table []virtiotest.Desc
	for i := range uint16(long) {
		table = append(table, virtiotest.Desc{Addr: buf, Len: 1, Flags: fN, Next: i + 1})
	}
	table[long-1].Flags = 0
	dq.SetTable(tab, table...)
	for i := range uint16(size) {
		dq.SetDesc(i, virtiotest.Desc{Addr: tab, Len: 16 * long, Flags: fI})
		dq.PostRaw(i, 0)
	}
	total, most := 0, 0
	for total < size {
		var held []*virtio.Chain
		for {
			c, err := q.Pop()
			if err != nil {
				t.Fatal(err)
			}
			if c == nil {
				break
			}
			if c.Readable() != long {
				t.Fatalf("chain of %d", c.Readable())
			}
			held = append(held, c)
		}
		if len(held) == 0 {
			t.Fatalf("stuck after %d", total)
		}
		most = max(most, len(held))
		total += len(held)
		for _, c := range held {
			c.Release(0)
		}
		q.Flush()
		for range held {
			if _, ok := dq.Take(); !ok {
				t.Fatal("used entry is missing")
			}
		}
	}
	if most*long > 1<<16 {
		t.Errorf("%d pieces at once", most*long)
	}
	// Short ones need none of that.
	for range 2 * size {
		dq.Add(virtiotest.In(1))
		c, err := q.Pop()
		if err != nil || c == nil {
			t.Fatal(c, err)
		}
		c.Release(0)
		q.Flush()
		dq.Take()
	}
}

// TestNoAllocations: nothing on the way of a request allocates, whatever its shape, from the first one on.
func TestNoAllocations(t *testing.T) {
	for _, tt := range []struct {
		name     string
		pieces   int
		indirect bool
	}{{"3 descriptors", 3, false}, {"34 descriptors", 34, false}, {"200 indirect", 200, true}} {
		t.Run(tt.name, func(t *testing.T) {
			q, dq, _ := startProbe(t, 256, 0)
			parts := []virtiotest.Part{virtiotest.Out(make([]byte, 16))}
			for range tt.pieces - 2 {
				parts = append(parts, virtiotest.In(64))
			}
			parts = append(parts, virtiotest.In(1))
			b := dq.Batch(1, tt.indirect, parts...)
			var head [16]byte
			lent := func([][]byte) error { return nil }
			n := testing.AllocsPerRun(1000, func() {
				b.Post()
				c, err := q.Pop()
				if c == nil || err != nil {
					panic(err)
				}
				_ = c.ReadAt(head[:], 0)
				_ = c.WithWritable(0, c.Writable()-1, lent)
				_ = c.WriteAt(head[:1], c.Writable()-1)
				c.Release(uint32(c.Writable()))
				q.Flush()
				b.Take()
			})
			t.Logf("allocations: %v a request of %s", n, tt.name)
			if n != 0 {
				t.Errorf("%v allocations a request", n)
			}
		})
	}
}
