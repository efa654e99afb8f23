package virtio

import (
	"encoding/binary"
	"sync/atomic"

	"github.com/husk-vm/husk/devices"
	"github.com/husk-vm/husk/internal/guestmem"
)

// Queue is one split virtqueue, seen from the device [VIRTIO §2.7]. One goroutine, its worker, calls its methods; Wake
// and Counters are for anyone. Once a queue has met its longest chains, nothing here allocates.
//
// The ring words are loaded and stored in one total order (guestmem), which is what the two decisions "may I sleep" and
// "does the driver want an interrupt" rest on: store ours, then look at theirs [VIRTIO §2.7.7.1, §2.7.10].
type Queue struct {
	mem               *guestmem.Memory
	desc, avail, used guestmem.Range // checked once, at activation
	bell              devices.Doorbell
	raise             func() // tells the driver that the used ring grew
	size              uint16
	limit             uint16 // longest chain, the device's greatest queue size: drivers fit indirect tables to that [VIRTIO §2.7.5.3.1]
	eventIdx          bool
	indirect          bool

	// Of the worker.
	next      uint16  // avail entry to take next
	seen      uint16  // avail idx as last loaded and checked
	put       uint16  // used entry to fill next
	told      uint16  // used idx as last stored
	usedFlags uint16  // used flags as last stored
	held      uint16  // chains popped and not released
	active    bool    // what busy says
	starved   bool    // the next chain waits for room in segs
	broken    error   // why the ring cannot be used any more
	chains    []Chain // by head index
	segs      segPool
	bufs      [][]byte // scratch of lends; nested ones stack up

	// Shared.
	wake    atomic.Bool // Wake was called
	closed  atomic.Bool // the transport wants the worker to end
	pausing atomic.Bool
	busy    atomic.Bool   // the worker may touch guest memory; see pause.go
	idle    chan struct{} // one slot: busy was cleared while pausing
	count   counters
}

// queueSetup is what a queue is made from.
type queueSetup struct {
	mem      *guestmem.Memory
	cfg      QueueConfig
	max      uint16
	features Features
	bell     devices.Doorbell
	raise    func()
}

// newQueue checks the driver's rings and makes a queue at their beginning. Errors are *GuestErrors.
func newQueue(s queueSetup) (*Queue, error) {
	size := s.cfg.Size
	if !validSize(size) || size > s.max {
		return nil, guestErrorf("queue set-up", "size %d", size)
	}
	desc, err := ringRange(s.mem, "descriptor table", s.cfg.Desc, descBytes(size), 16)
	if err != nil {
		return nil, err
	}
	avail, err := ringRange(s.mem, "available ring", s.cfg.Avail, availBytes(size), 2)
	if err != nil {
		return nil, err
	}
	used, err := ringRange(s.mem, "used ring", s.cfg.Used, usedBytes(size), 4)
	if err != nil {
		return nil, err
	}
	q := &Queue{
		mem: s.mem, desc: desc, avail: avail, used: used, bell: s.bell, raise: s.raise,
		size: size, limit: s.max,
		eventIdx: s.features.Has(FeatureEventIdx), indirect: s.features.Has(FeatureIndirectDesc),
		chains: make([]Chain, size), idle: make(chan struct{}, 1),
		bufs: make([][]byte, 0, 2*min(int(s.max), primeSegs)),
	}
	inline := make([]guestmem.Range, int(size)*inlineSegs)
	for i := range q.chains {
		q.chains[i].q, q.chains[i].head = q, uint16(i)
		q.chains[i].segs = inline[i*inlineSegs : i*inlineSegs : (i+1)*inlineSegs]
		q.chains[i].inline = q.chains[i].segs
	}
	q.segs.prime(int(s.max))
	return q, nil
}

// Size is the number of descriptors the driver chose.
func (q *Queue) Size() uint16 { return q.size }

// Pop takes the next available chain, or returns nil if there is none now; a worker then calls Wait. Up to Size chains
// may be held at once, and released in any order. A *GuestError means that the ring is broken: hand it to
// Activation.Fail and end the worker.
func (q *Queue) Pop() (*Chain, error) {
	if q.broken != nil {
		return nil, q.broken
	}
	if q.closed.Load() || !q.enter() {
		q.restIfEmpty()
		return nil, nil
	}
	if q.next == q.seen {
		if err := q.look(); err != nil {
			return nil, q.fail(err)
		}
		if q.next == q.seen {
			q.restIfEmpty()
			return nil, nil
		}
	}
	head, err := q.avail.Load16(ringEntries + 2*uint64(q.next&(q.size-1)))
	if err != nil {
		return nil, q.fail(err)
	}
	if head >= q.size {
		return nil, q.fail(guestErrorf("available ring", "head %d of %d", head, q.size))
	}
	c := &q.chains[head]
	if c.held {
		return nil, q.fail(guestErrorf("available ring", "head %d is in use", head))
	}
	ok, err := c.walk()
	if err != nil {
		c.drop()
		return nil, q.fail(err)
	}
	if !ok {
		c.drop()
		q.starved = true
		return nil, nil
	}
	c.held = true
	q.held++
	q.next++
	q.count.pops.Add(1)
	return c, nil
}

// look loads and checks the available index. A driver can never be more than a queue's length ahead [VIRTIO §2.7.13.3].
func (q *Queue) look() error {
	idx, err := q.avail.Load16(ringIdx)
	if err != nil {
		return err
	}
	if idx-q.next > q.size {
		return guestErrorf("available ring", "index jumps from %d to %d, size %d", q.next, idx, q.size)
	}
	q.seen = idx
	return nil
}

// fail breaks the queue for good.
func (q *Queue) fail(err error) error {
	q.broken = err
	q.count.errors.Add(1)
	q.rest()
	return err
}

// Wait publishes what was released, then blocks until a chain is available; false means stop. It asks the driver for
// notifications, looks again, and only then sleeps, so that none is lost [VIRTIO §2.7.10]. Chains may be held meanwhile,
// but nothing may touch their memory: a paused VM's workers are in Wait.
func (q *Queue) Wait() bool {
	q.Flush()
	for q.broken == nil && !q.closed.Load() {
		if q.enter() && (q.woken() || !q.starved && q.arm()) {
			return true
		}
		q.rest()
		if !q.bell.Wait() {
			return false
		}
	}
	q.rest()
	return false
}

func (q *Queue) woken() bool { return q.wake.Load() && q.wake.Swap(false) }

// arm asks the driver to notify us of chains beyond those we took, and reports whether there already are some. An error
// counts as some: Pop will find it.
func (q *Queue) arm() bool {
	if q.next != q.seen || q.look() != nil || q.next != q.seen {
		return true
	}
	var err error
	switch {
	case q.eventIdx:
		err = q.used.Store16(availEventOff(q.size), q.next)
	case q.usedFlags != 0:
		err = q.setUsed(0)
	}
	// The store above comes before this load for every observer: either we see the driver's new index or it sees our wish.
	if err != nil || q.look() != nil || q.next != q.seen {
		if !q.eventIdx && err == nil {
			_ = q.setUsed(usedNoNotify) // an error shows up in Pop
		}
		return true
	}
	return false
}

// setUsed stores flags and index of the used ring in one word: both are the device's [VIRTIO §2.7.8].
func (q *Queue) setUsed(flags uint16) error {
	q.usedFlags = flags
	return q.used.Store32(ringFlags, uint32(flags)|uint32(q.told)<<16)
}

// Flush publishes all chains released since the last Flush or Wait and interrupts the driver if it wants that.
func (q *Queue) Flush() {
	if q.put == q.told || q.broken != nil {
		q.restIfEmpty()
		return
	}
	old := q.told
	q.told = q.put
	flags := q.usedFlags
	if !q.eventIdx {
		flags = usedNoNotify // we are awake; Wait clears it
	}
	if err := q.setUsed(flags); err != nil {
		_ = q.fail(err) // Pop returns it
		return
	}
	if q.wantsInterrupt(old) {
		q.count.sent.Add(1)
		q.raise()
	} else {
		q.count.suppressed.Add(1)
	}
	q.restIfEmpty()
}

// wantsInterrupt reports whether the driver asked to be told of one of the entries old..told-1 [VIRTIO §2.7.7.2]. The
// used index was stored before these loads, in the order the driver's side relies on.
func (q *Queue) wantsInterrupt(old uint16) bool {
	if !q.eventIdx {
		flags, err := q.avail.Load16(ringFlags)
		return err == nil && flags&availNoInterrupt == 0
	}
	event, err := q.avail.Load16(usedEventOff(q.size))
	return err == nil && q.told-event-1 < q.told-old
}

// Wake makes the present or next Wait return true even if no chain is available: a host-side event for a worker that
// also serves the host, as in console and vsock. Any goroutine; does not block.
func (q *Queue) Wake() {
	if !q.wake.Swap(true) {
		q.bell.Ring()
	}
}

// close makes Pop return nil and Wait return false, now and for ever. Any goroutine.
func (q *Queue) close() {
	q.closed.Store(true)
	q.bell.Ring()
}

// putUsed fills the next used entry; Flush publishes it.
func (q *Queue) putUsed(head uint16, written uint32) {
	var e [8]byte
	binary.LittleEndian.PutUint32(e[0:], uint32(head))
	binary.LittleEndian.PutUint32(e[4:], written)
	if err := q.used.Write(ringEntries+8*uint64(q.put&(q.size-1)), e[:]); err != nil && q.broken == nil {
		_ = q.fail(err) // Pop returns it
	}
	q.put++
}
