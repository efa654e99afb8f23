package blk

import (
	"math"
	"time"

	"github.com/husk-vm/husk/virtio"
)

// publishAfter is how long a finished request may wait for the others of its batch: longer than a batch of page-cache
// hits takes, so that those share one interrupt, and well below what a request to a real disk takes, so that none waits
// for the next one's disk access.
const publishAfter = 50 * time.Microsecond

// worker serves one queue. It owns everything in it; nothing here is allocated after newWorker.
type worker struct {
	d        *Device
	q        *virtio.Queue
	features virtio.Features // negotiated
	fail     func(error)

	header   header
	status   [1]byte
	id       [idBytes]byte
	segments [maxSegments * segmentBytes]byte

	// The transfer under way. The method values are made once: a closure a request would be an allocation a request.
	read, write func(bufs [][]byte) error
	off         int64
	n           int
	err         error // of the back end
}

func newWorker(d *Device, q *virtio.Queue, a virtio.Activation) *worker {
	w := &worker{d: d, q: q, features: a.Features, fail: a.Fail}
	w.read, w.write = w.readPieces, w.writePieces
	copy(w.id[:], d.config.ID)
	return w
}

// run serves the queue until it closes or breaks.
func (w *worker) run(q *virtio.Queue) {
	for q.Wait() {
		if err := w.batch(); err != nil {
			w.d.stats.broken.Add(1)
			w.fail(err)
			return
		}
	}
}

// batch serves what is in the queue and publishes the results together, but none later than publishAfter.
func (w *worker) batch() error {
	defer w.q.Flush()
	var first time.Time // when the oldest unpublished request was popped
	for {
		c, err := w.q.Pop()
		if c == nil || err != nil {
			return err
		}
		switch {
		case first.IsZero():
			first = time.Now()
		case time.Since(first) > publishAfter:
			w.q.Flush()
			first = time.Now()
		}
		if err := w.serve(c); err != nil {
			return err
		}
	}
}

// serve carries out one request and gives its chain back. An error means that the chain is broken and the device with
// it; what a back end does wrong is told to the guest in the status byte.
//
// Any split of the request into descriptors is taken [VIRTIO §2.7.4.1]: the header is the first 16 readable bytes, the
// status the last writable one.
func (w *worker) serve(c *virtio.Chain) error {
	readable, writable := c.Readable(), c.Writable()
	switch {
	case readable < headerBytes:
		return &virtio.GuestError{Op: "block request", Cause: "no room for a header"}
	case writable < 1:
		return &virtio.GuestError{Op: "block request", Cause: "no room for a status"}
	case readable > math.MaxUint32 || writable > math.MaxUint32: // [VIRTIO §2.7.5.2]
		return &virtio.GuestError{Op: "block request", Cause: "4 GiB or more"}
	}
	if err := c.ReadAt(w.header[:], 0); err != nil {
		return err
	}
	out, in := readable-headerBytes, writable-1
	st, filled, err := w.carryOut(c, out, in)
	if err != nil {
		return err
	}
	w.status[0] = byte(st)
	if err := c.WriteAt(w.status[:], in); err != nil {
		return err
	}
	c.Release(uint32(filled) + 1)
	return nil
}

// carryOut does what the header asks for. out and in are the lengths of the data parts; filled is how much of the
// latter was written.
func (w *worker) carryOut(c *virtio.Chain, out, in uint64) (st status, filled uint64, err error) {
	s := &w.d.stats
	switch k := w.header.kind(); {
	case k == kindIn:
		st, filled, err = w.in(c, in)
		s.read.done(st, in)
	case k == kindOut:
		st, err = w.out(c, out)
		s.write.done(st, out)
	case k == kindFlush:
		st = w.flush()
		s.flush.done(st, 0)
	case k == kindGetID:
		filled = min(in, idBytes)
		err = c.WriteAt(w.id[:filled], 0)
		s.getID.done(st, filled)
	case k == kindDiscard && w.features.Has(featDiscard):
		var n uint64
		st, n, err = w.discard(c, out)
		s.discard.done(st, n)
	case k == kindWriteZeroes && w.features.Has(featWriteZeroes):
		var n uint64
		st, n, err = w.writeZeroes(c, out)
		s.writeZeroes.done(st, n)
	case w.d.config.ReadOnly && k == kindDiscard: // a write to a read-only disk [VIRTIO §5.2.6.2]
		st = statusIOErr
		s.discard.done(st, 0)
	case w.d.config.ReadOnly && k == kindWriteZeroes:
		st = statusIOErr
		s.writeZeroes.done(st, 0)
	default:
		st = statusUnsupp
		s.unsupported.Add(1)
	}
	return st, filled, err
}
