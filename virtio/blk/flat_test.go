package blk_test

import (
	"encoding/binary"
	"testing"

	"github.com/husk-vm/husk/internal/guestmem"
	"github.com/husk-vm/husk/virtio"
	"github.com/husk-vm/husk/virtio/blk"
	"github.com/husk-vm/husk/virtio/virtiotest"
)

// flat is a driver for measurements: its requests are laid out once, and sending one changes a header and the available
// ring only. It allocates nothing after newFlat and checks nothing but the status.
type flat struct {
	t     testing.TB
	d     *virtiotest.Driver
	q     *virtiotest.Queue
	ram   guestmem.Range
	per   int // descriptors a request
	taken uint16
}

const (
	flatBytes = 4096
	flatSlot  = 2 * flatBytes // header at 0, status at 16, data in the second page
)

// newFlat drives a fresh device over b with up to depth requests at a time, each of 4 KiB in pieces pieces.
func newFlat(t testing.TB, b blk.Backend, depth, pieces int, write bool) *flat {
	t.Helper()
	return newFlatOn(t, virtiotest.Host(t, 0), b, depth, pieces, write)
}

func newFlatOn(t testing.TB, host virtio.Host, b blk.Backend, depth, pieces int, write bool) *flat {
	t.Helper()
	f := &flat{t: t, per: 2 + pieces}
	f.d = virtiotest.Start(t, newDisk(t, b, blk.Config{}), virtiotest.Options{Host: host})
	f.q = f.d.Queue(0)
	f.ram = f.d.Alloc(uint64(depth*flatSlot), 4096)
	for slot := range depth {
		base := f.ram.Addr() + guestmem.GPA(slot*flatSlot)
		chain := []desc{{base, 16, false}}
		for i := range pieces {
			chain = append(chain, desc{base + flatBytes + guestmem.GPA(i*flatBytes/pieces), uint32(flatBytes / pieces), !write})
		}
		chain = append(chain, desc{base + 16, 1, true})
		for i, c := range chain {
			var p [16]byte
			flags := uint16(0)
			if c.write {
				flags |= 2
			}
			if i+1 < len(chain) {
				flags |= 1
			}
			virtiotest.PutDesc(p[:], uint64(c.addr), c.n, flags, uint16(slot*f.per+i+1))
			f.must(f.q.Desc.Write(uint64(16*(slot*f.per+i)), p[:]))
		}
		typ := uint32(typeIn)
		if write {
			typ = typeOut
		}
		f.must(f.ram.Write(uint64(slot*flatSlot), header(typ, 0)))
		f.must(f.ram.Write(uint64(slot*flatSlot+flatBytes), make([]byte, flatBytes)))
	}
	return f
}

func (f *flat) must(err error) {
	if err != nil {
		f.t.Helper()
		f.t.Fatal(err)
	}
}

// send makes the slot's request for 4 KiB at block available, without a kick.
func (f *flat) send(slot int, block uint64) {
	var p [8]byte
	binary.LittleEndian.PutUint64(p[:], block*(flatBytes/512))
	f.must(f.ram.Write(uint64(slot*flatSlot+8), p[:]))
	p[0] = 0xff
	f.must(f.ram.Write(uint64(slot*flatSlot+16), p[:1]))
	f.q.PostHead(uint16(slot * f.per))
}

// take waits for the next used request and returns its slot.
func (f *flat) take() int {
	for {
		idx, err := f.q.Used.Load16(2)
		f.must(err)
		if idx != f.taken {
			break
		}
		// Ask for an interrupt, look again, sleep: as a driver does [VIRTIO §2.7.7.1].
		f.must(f.q.Avail.Store16(4+2*uint64(f.q.Size), f.taken))
		if idx, err = f.q.Used.Load16(2); err != nil || idx != f.taken {
			f.must(err)
			break
		}
		<-f.d.Transport.Interrupt(0)
	}
	var p [8]byte
	f.must(f.q.Used.Read(4+8*uint64(f.taken%f.q.Size), p[:]))
	f.taken++
	slot := int(binary.LittleEndian.Uint32(p[:])) / f.per
	f.must(f.ram.Read(uint64(slot*flatSlot+16), p[:1]))
	if p[0] != ok {
		f.t.Fatalf("status %d", p[0])
	}
	return slot
}

// run does n requests for the blocks that next says, depth at a time.
func (f *flat) run(n, depth int, next func() uint64) {
	sent := 0
	for ; sent < min(depth, n); sent++ {
		f.send(sent, next())
	}
	f.q.Kick()
	for done := 0; done < n; {
		slot := f.take()
		if done++; sent < n {
			f.send(slot, next())
			sent++
			f.q.Kick()
		}
	}
}

// flatInline is a flat whose requests are sent by the device's worker.
type flatInline struct {
	*flat
	depth      int
	next       func() uint64
	left, sent int // of the run under way
	done       chan struct{}
	bell       *inline
}

func newFlatInline(t testing.TB, b blk.Backend, depth, pieces int, write bool, next func() uint64) *flatInline {
	t.Helper()
	f := &flatInline{depth: depth, next: next, done: make(chan struct{})}
	f.bell = &inline{ring: make(chan struct{}, 1), closed: make(chan struct{}), step: f.step}
	host := virtiotest.Host(t, 0)
	host.Doorbells = inlineBells{f.bell}
	f.flat = newFlatOn(t, host, b, depth, pieces, write)
	return f
}

// run does n requests, depth at a time; n is a multiple of depth.
func (f *flatInline) run(n int) {
	f.left = n
	f.bell.Ring()
	<-f.done
}

func (f *flatInline) step() bool {
	if f.sent == 0 && f.left == 0 {
		return false
	}
	for ; f.sent > 0; f.sent-- {
		f.take()
	}
	if f.left == 0 {
		f.done <- struct{}{}
		return false
	}
	for ; f.sent < f.depth; f.sent++ {
		f.send(f.sent, f.next())
	}
	f.left -= f.depth
	return true
}

// TestNoAllocations holds that no path of a queue allocates, counted over driver and device together.
func TestNoAllocations(t *testing.T) {
	const blocks = 64
	for _, c := range []struct {
		name   string
		pieces int
		write  bool
		plain  bool
		depth  int
	}{
		{name: "read", pieces: 1, depth: 1},
		{name: "read, 16 at a time", pieces: 1, depth: 16},
		{name: "read vector", pieces: 8, depth: 1},
		{name: "read one by one", pieces: 8, depth: 1, plain: true},
		{name: "write", pieces: 1, write: true, depth: 1},
		{name: "write vector", pieces: 8, write: true, depth: 1},
		{name: "write one by one", pieces: 8, write: true, depth: 1, plain: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			disk := quietDisk(make([]byte, blocks*flatBytes))
			var b blk.Backend = disk
			if c.plain {
				b = plain{disk}
			}
			f := newFlat(t, b, c.depth, c.pieces, c.write)
			block := uint64(0)
			next := func() uint64 {
				block = (block + 7) % blocks
				return block
			}
			n := testing.AllocsPerRun(200, func() { f.run(c.depth, c.depth, next) })
			t.Logf("allocations: %v for %d requests: %s", n, c.depth, c.name)
			if n != 0 {
				t.Errorf("%v allocations for %d requests", n, c.depth)
			}
		})
	}
	t.Run("others", func(t *testing.T) {
		f := newFlat(t, quietDisk(make([]byte, blocks*flatBytes)), 1, 1, true)
		f.must(f.ram.Write(flatBytes, segment(8, 8, 0)))
		var p [16]byte
		virtiotest.PutDesc(p[:], uint64(f.ram.Addr())+flatBytes, 16, 1, 2) // a segment instead of data
		f.must(f.q.Desc.Write(16, p[:]))
		for _, typ := range []uint32{typeFlush, typeDiscard, typeWriteZeroes} {
			f.must(f.ram.Write(0, header(typ, 0)))
			n := testing.AllocsPerRun(200, func() { f.run(1, 1, func() uint64 { return 0 }) })
			t.Logf("allocations: %v a request of type %d", n, typ)
			if n != 0 {
				t.Errorf("type %d: %v allocations", typ, n)
			}
		}
		virtiotest.PutDesc(p[:], uint64(f.ram.Addr())+flatBytes, 20, 3, 2)
		f.must(f.q.Desc.Write(16, p[:]))
		f.must(f.ram.Write(0, header(typeGetID, 0)))
		n := testing.AllocsPerRun(200, func() { f.run(1, 1, func() uint64 { return 0 }) })
		t.Logf("allocations: %v a request of type %d", n, typeGetID)
		if n != 0 {
			t.Errorf("get id: %v allocations", n)
		}
	})
}

// quietDisk is a disk in memory that notes nothing.
type quietDisk []byte

func (d quietDisk) Size() int64                                { return int64(len(d)) }
func (d quietDisk) Sync() error                                { return nil }
func (d quietDisk) ReadAt(p []byte, off int64) (int, error)    { return copy(p, d[off:]), nil }
func (d quietDisk) WriteAt(p []byte, off int64) (int, error)   { return copy(d[off:], p), nil }
func (d quietDisk) Discard(off, n int64) error                 { return nil }
func (d quietDisk) WriteZeroes(off, n int64, unmap bool) error { return nil }

func (d quietDisk) ReadvAt(bufs [][]byte, off int64) (n int, err error) {
	for _, p := range bufs {
		n += copy(p, d[off+int64(n):])
	}
	return n, nil
}

func (d quietDisk) WritevAt(bufs [][]byte, off int64) (n int, err error) {
	for _, p := range bufs {
		n += copy(d[off+int64(n):], p)
	}
	return n, nil
}
