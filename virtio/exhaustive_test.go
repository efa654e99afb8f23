package virtio_test

import (
	"testing"

	"github.com/husk-vm/husk/virtio"
	"github.com/husk-vm/husk/virtio/virtiotest"
)

// TestIndexJumps stores every possible available index: those up to a queue's length ahead are chains, all others break
// the queue (a driver that corrupts its index, or one that wants the device to run through the ring 65535 times).
func TestIndexJumps(t *testing.T) {
	for _, size := range []uint16{2, 4} {
		for _, next := range []uint16{0, 1} { // how many chains were taken before
			p := &probe{sizes: []uint16{size}}
			d := virtiotest.Start(t, p, virtiotest.Options{})
			for idx := 0; idx < 1<<16; idx += stride {
				if idx > 0 {
					d.Negotiate(0)
					cfgAgain(d, size)
				}
				q, dq := p.a.Queues[0], d.Queue(0)
				for i := range size {
					dq.SetDesc(i, virtiotest.Desc{Addr: buf, Len: 1})
					store16(t, dq.Avail, 4+2*uint64(i), i)
				}
				store16(t, dq.Avail, 2, next)
				if next == 1 {
					c, err := q.Pop()
					if err != nil {
						t.Fatal(err)
					}
					c.Release(0)
				}
				store16(t, dq.Avail, 2, uint16(idx))
				ahead := uint16(idx) - next
				taken := uint16(0)
				var err error
				for {
					var c *virtio.Chain
					c, err = q.Pop()
					if c == nil {
						break
					}
					taken++
				}
				if ahead > size && (err == nil || taken != 0) || ahead <= size && (err != nil || taken != ahead) {
					t.Fatalf("size %d, %d taken, index %d: %d chains, %v", size, next, idx, taken, err)
				}
			}
		}
	}
}

// cfgAgain sets queue 0 up in the same place and goes on to DRIVER_OK; the ring is empty again.
func cfgAgain(d *virtiotest.Driver, size uint16) {
	q := d.Queue(0)
	d.Transport.SetQueue(0, size, q.Desc.Addr(), q.Avail.Addr(), q.Used.Addr())
	d.DriverOK()
}

// TestAllTablesOfTwo builds every descriptor table of two entries out of the values that matter and compares what
// Pop says with a model written from the spec.
func TestAllTablesOfTwo(t *testing.T) {
	const bad = ram - 4 // 8 bytes from here do not fit
	var entries []virtiotest.Desc
	for flags := range uint16(8) {
		for next := range uint16(3) {
			for _, addr := range []uint64{buf, tab, bad} {
				for _, n := range []uint32{0, 8, 16} {
					entries = append(entries, virtiotest.Desc{Addr: addr, Len: n, Flags: flags, Next: next})
				}
			}
		}
	}
	// The table at tab has one entry: 3 readable bytes. At buf there are zeros: an entry of nothing.
	inner := virtiotest.Desc{Addr: buf, Len: 3}
	p := &probe{sizes: []uint16{2}}
	d := virtiotest.Start(t, p, virtiotest.Options{})
	d.Queue(0).SetTable(tab, inner)
	for i, first := range entries {
		if i%stride != 0 {
			continue
		}
		for _, second := range entries {
			dq, q := d.Queue(0), p.a.Queues[0]
			table := []virtiotest.Desc{first, second}
			dq.SetDesc(0, first)
			dq.SetDesc(1, second)
			store16(t, dq.Avail, 4, 0)
			store16(t, dq.Avail, 2, 1)
			wantR, wantW, ok := model(table, inner)
			c, err := q.Pop()
			if ok != (err == nil) {
				t.Fatalf("%+v: %v, want good: %v", table, err, ok)
			}
			if ok && (c.Readable() != wantR || c.Writable() != wantW) {
				t.Fatalf("%+v: %d readable, %d writable, want %d, %d", table, c.Readable(), c.Writable(), wantR, wantW)
			}
			d.Negotiate(0)
			cfgAgain(d, 2)
		}
	}
}

// model says what the chain at head 0 of a table of two is; an indirect descriptor at tab has one entry, inner, and
// then maybe entries of nothing.
func model(table []virtiotest.Desc, inner virtiotest.Desc) (r, w uint64, ok bool) {
	at, seen := 0, 0
	for {
		d := table[at]
		if d.Flags&fI != 0 {
			// One entry of 16 bytes; a multiple of 16, not 0, inside of RAM, no further descriptor.
			if d.Flags&fN != 0 || d.Len != 16 || d.Addr == ram-4 || seen+1 > 2 {
				return 0, 0, false
			}
			if d.Addr == tab {
				if w != 0 {
					return 0, 0, false
				}
				r += uint64(inner.Len)
			} else if w != 0 { // zeros at buf: an empty readable entry
				return 0, 0, false
			}
			return r, w, true
		}
		if seen++; seen > 2 {
			return 0, 0, false
		}
		if d.Flags&fW == 0 && w != 0 {
			return 0, 0, false
		}
		if d.Len != 0 && d.Addr == ram-4 {
			return 0, 0, false
		}
		if d.Flags&fW != 0 {
			w += uint64(d.Len)
		} else {
			r += uint64(d.Len)
		}
		if d.Flags&fN == 0 {
			return r, w, true
		}
		if at = int(d.Next); at >= 2 {
			return 0, 0, false
		}
	}
}

// TestEventIndex tries, around the wrap of the index, every pair of position and wish of the driver: it is
// interrupted exactly if the entry it asked for was among those just published [VIRTIO §2.7.7.2].
func TestEventIndex(t *testing.T) {
	const size = 4
	q, dq, d := startProbe(t, size, 0)
	interrupted := func() bool {
		select {
		case <-d.Transport.Interrupt(0):
			return true
		default:
			return false
		}
	}
	for used := 0; used < 1<<16+64; {
		for batch := 1; batch <= size; batch++ {
			for wish := -size - 1; wish <= size+1; wish++ {
				for range batch {
					dq.Add(virtiotest.In(0))
				}
				store16(t, dq.Avail, 4+2*size, uint16(used+wish))
				for range batch {
					c, err := q.Pop()
					if err != nil || c == nil {
						t.Fatal(c, err)
					}
					c.Release(0)
				}
				q.Flush()
				want := wish >= 0 && wish < batch
				if got := interrupted(); got != want {
					t.Fatalf("used %d..%d, wish %d: interrupted %v", used, used+batch-1, used+wish, got)
				}
				used += batch
				for range batch {
					if _, ok := dq.Take(); !ok {
						t.Fatalf("used %d: entry is missing", used)
					}
				}
			}
		}
		if used > 500 && used < 1<<16-500 { // nothing new in the middle: run up to the wrap
			for used < 1<<16-200 {
				dq.Add(virtiotest.In(0))
				c, err := q.Pop()
				if err != nil {
					t.Fatal(err)
				}
				c.Release(0)
				q.Flush()
				dq.Take()
				used++
			}
			interrupted()
		}
	}
}
