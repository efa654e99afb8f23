package vsock

import (
	"strconv"

	"github.com/husk-vm/husk/virtio"
)

// flushEvery is after how many packets a worker shows the driver what is done, when there is no pause to do it in: often
// enough that the guest works on one half of the ring while the host fills the other.
const flushEvery = 16

// rxWorker fills the guest's receive buffers.
type rxWorker struct {
	d    *Device
	fail func(error)
	pkt  packet
}

// run sleeps in the schedule while there is nothing to send, and in the queue while there is nowhere to put it. So a
// guest that refills its queue wakes nobody who has nothing to say.
func (w *rxWorker) run(q *virtio.Queue) {
	for unflushed := 0; ; {
		if unflushed == flushEvery || unflushed > 0 && w.d.sched.empty() {
			q.Flush()
			unflushed = 0
		}
		if !w.d.sched.wait() {
			return
		}
		c, err := q.Pop()
		if err == nil && c != nil {
			err = w.serve(c)
			unflushed++
		}
		if err != nil {
			w.fail(err)
			return
		}
		if c == nil {
			w.d.count.stalls.Add(1)
			unflushed = 0
			if !q.Wait() {
				return
			}
		}
	}
}

// serve fills one buffer.
func (w *rxWorker) serve(c *virtio.Chain) error {
	room := c.Writable()
	if room <= headerSize { // Linux gives 4 KiB; without room for a byte of data a stream could never move
		c.Release(0)
		return guestError("receive buffer", "of "+strconv.FormatUint(room, 10)+" bytes")
	}
	n, err := w.d.fill(c, room-headerSize, &w.pkt)
	c.Release(n)
	return err
}

// sink is where a packet is copied to; a *virtio.Chain is one.
type sink interface {
	WriteAt(p []byte, off uint64) error
}

// fill writes the next packet of the schedule to dst, which has room bytes after the header, and returns its length with
// the header. It is 0 if all that was scheduled has been withdrawn meanwhile.
func (d *Device) fill(dst sink, room uint64, p *packet) (uint32, error) {
	for {
		c, r, ok := d.sched.take()
		if !ok {
			return 0, nil
		}
		if c == nil {
			p.hdr.set(fields{
				srcCID: HostCID, srcPort: r.key.host,
				dstCID: d.cid, dstPort: r.key.guest,
				typ: r.typ, op: opRst,
			})
			p.data = nil
		} else if !c.fetch(p, room) {
			continue
		}
		d.count.packetsToGuest.Add(1)
		d.count.bytesToGuest.Add(uint64(len(p.data)))
		return p.copyTo(dst, c)
	}
}

// copyTo writes p to dst and returns its length. c, if it is not nil, is told even if the host cannot reach the guest's
// memory and the worker ends here: Write waits for it.
func (p *packet) copyTo(dst sink, c *Conn) (uint32, error) {
	if c != nil {
		defer c.sent(p)
	}
	if err := dst.WriteAt(p.hdr[:], 0); err != nil {
		return 0, err
	}
	if len(p.data) > 0 {
		if err := dst.WriteAt(p.data, headerSize); err != nil {
			return 0, err
		}
	}
	return uint32(headerSize + len(p.data)), nil
}

// txWorker takes the packets that the guest sends.
type txWorker struct {
	d    *Device
	fail func(error)
	hdr  header
}

func (w *txWorker) run(q *virtio.Queue) {
	for unflushed := 0; ; {
		c, err := q.Pop()
		if err == nil && c != nil {
			err = w.d.take(c, c.Readable(), &w.hdr)
			c.Release(0)
			unflushed++
		}
		switch {
		case err != nil:
			w.fail(err)
			return
		case c == nil:
			unflushed = 0
			if !q.Wait() {
				return
			}
		case unflushed == flushEvery:
			q.Flush()
			unflushed = 0
		}
	}
}

// take reads the packet in src, which has size bytes, and acts on it. The header is copied once, to h.
func (d *Device) take(src source, size uint64, h *header) error {
	if size < headerSize {
		return guestError("packet", "of "+strconv.FormatUint(size, 10)+" bytes has no header")
	}
	if err := src.ReadAt(h[:], 0); err != nil {
		return err
	}
	d.count.packetsFromGuest.Add(1)
	if h.op() == opRW && uint64(h.len()) > size-headerSize {
		return guestError("packet", "is shorter than its header says")
	}
	return d.handle(h, src)
}

func guestError(op, cause string) error {
	return &virtio.GuestError{Op: "vsock " + op, Cause: cause}
}
