package virtiotest

import (
	"encoding/binary"
	"time"

	"github.com/husk-vm/husk/internal/guestmem"
	"github.com/husk-vm/husk/virtio"
)

// Queue is a driver's split virtqueue [VIRTIO §2.7]. It is for one goroutine.
type Queue struct {
	Desc, Avail, Used guestmem.Range // the rings, for tests that break them
	Index             int
	Size              uint16

	d        *Driver
	eventIdx bool
	free     []uint16 // descriptors
	flight   []*chain // by head
	inFlight int
	posted   uint16 // avail idx as stored
	kicked   uint16 // avail idx at the last decision to kick
	taken    uint16 // used idx up to which entries were taken
	arena    arena
}

// SetupQueue places queue i's rings in RAM, tells the device and enables it. DriverOK comes later.
func (d *Driver) SetupQueue(i int, size uint16) *Queue {
	d.t.Helper()
	n := uint64(size)
	q := &Queue{
		d: d, Index: i, Size: size, eventIdx: d.Features.Has(virtio.FeatureEventIdx),
		flight: make([]*chain, size),
	}
	if old := d.queues[i]; old != nil && old.Size == size { // after a reset: the same place again
		q.Desc, q.Avail, q.Used, q.arena.all = old.Desc, old.Avail, old.Used, old.arena.all
	} else {
		q.Desc, q.Avail, q.Used = d.Alloc(16*n, 16), d.Alloc(6+2*n, 2), d.Alloc(6+8*n, 4)
		q.arena.init(d)
	}
	for i := range size {
		q.free = append(q.free, size-1-i)
	}
	for _, r := range []guestmem.Range{q.Desc, q.Avail, q.Used} { // RAM may have been another driver's
		q.must(r.Write(0, make([]byte, r.Len())))
	}
	d.Transport.SetQueue(i, size, q.Desc.Addr(), q.Avail.Addr(), q.Used.Addr())
	d.queues[i] = q
	return q
}

// Part is one buffer of a request.
type Part struct {
	out []byte
	in  int
	dir direction
}

type direction uint8

const (
	dirOut direction = iota
	dirIn
)

// Out is a device-readable buffer with the contents p; In a device-writable one of n bytes, filled with 0xee.
func Out(p []byte) Part { return Part{out: p} }

// In is a device-writable buffer of n bytes, filled with 0xee.
func In(n int) Part { return Part{in: n, dir: dirIn} }

func (p Part) len() int {
	if p.dir == dirIn {
		return p.in
	}
	return len(p.out)
}

// Result is a used chain.
type Result struct {
	Head    uint16
	Written uint32
	In      [][]byte // copies of the writable buffers, whole
}

// Bytes returns the first Written bytes of the writable part.
func (r Result) Bytes() []byte {
	var all []byte
	for _, b := range r.In {
		all = append(all, b...)
	}
	return all[:r.Written]
}

// Add makes a request of descriptors in the table available, without a kick, and returns its head.
func (q *Queue) Add(parts ...Part) uint16 {
	q.d.t.Helper()
	return q.post(q.build(parts, false))
}

// AddIndirect makes a request with an indirect table available [VIRTIO §2.7.5.3].
func (q *Queue) AddIndirect(parts ...Part) uint16 {
	q.d.t.Helper()
	return q.post(q.build(parts, true))
}

// post stores a head in the available ring.
func (q *Queue) post(head uint16) uint16 {
	q.PostHead(head)
	return head
}

// PostHead stores any number as the next available head, and the index after it.
func (q *Queue) PostHead(head uint16) {
	q.must(q.Avail.Store16(4+2*uint64(q.posted%q.Size), head))
	q.posted++
	q.must(q.Avail.Store16(2, q.posted))
}

// Kick notifies the device of what was added since the last Kick, if it wants that [VIRTIO §2.7.10], and says whether it did.
func (q *Queue) Kick() bool {
	old := q.kicked
	q.kicked = q.posted
	want := false
	if q.eventIdx {
		event, err := q.Used.Load16(4 + 8*uint64(q.Size))
		q.must(err)
		want = q.posted-event-1 < q.posted-old
	} else {
		flags, err := q.Used.Load16(0)
		q.must(err)
		want = flags&1 == 0 && q.posted != old
	}
	if want {
		q.d.Transport.Notify(q.Index)
	}
	return want
}

// Take returns the next used chain, if there is one.
func (q *Queue) Take() (Result, bool) {
	q.d.t.Helper()
	idx, err := q.Used.Load16(2)
	q.must(err)
	if idx-q.taken > uint16(q.inFlight) {
		q.d.t.Fatalf("queue %d: used index %d, %d taken, only %d chains in flight", q.Index, idx, q.taken, q.inFlight)
	}
	if idx == q.taken {
		return Result{}, false
	}
	var e [8]byte
	q.must(q.Used.Read(4+8*uint64(q.taken%q.Size), e[:]))
	q.taken++
	if q.eventIdx { // interrupt for the next one, please
		q.must(q.Avail.Store16(4+2*uint64(q.Size), q.taken))
	}
	return q.finish(binary.LittleEndian.Uint32(e[0:]), binary.LittleEndian.Uint32(e[4:])), true
}

// Wait returns the next used chain; it waits for interrupts.
func (q *Queue) Wait() Result {
	q.d.t.Helper()
	var timeout <-chan time.Time
	for {
		if r, ok := q.Take(); ok {
			return r
		}
		if timeout == nil {
			timeout = time.After(Patience)
		}
		select {
		case <-q.d.Transport.Interrupt(q.Index):
		case <-timeout:
			q.d.t.Fatalf("queue %d: no interrupt (%d chains in flight, status %#x)", q.Index, q.inFlight, q.d.Transport.Status())
		}
	}
}

// Do adds a request, kicks, and waits until the device has used it. No other chain may be in flight.
func (q *Queue) Do(parts ...Part) Result {
	q.d.t.Helper()
	head := q.Add(parts...)
	q.Kick()
	r := q.Wait()
	if r.Head != head {
		q.d.t.Fatalf("queue %d: used head %d, want %d", q.Index, r.Head, head)
	}
	return r
}

// InFlight is the number of chains the device has.
func (q *Queue) InFlight() int { return q.inFlight }

func (q *Queue) must(err error) {
	if err != nil {
		q.d.t.Helper()
		q.d.t.Fatalf("queue %d: %v", q.Index, err)
	}
}
