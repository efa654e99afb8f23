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
	q    *virtio.Queue
	fail func(error)
	pkt  packet
}

func (w *rxWorker) run() {
	for unflushed := 0; ; {
		if unflushed == flushEvery || unflushed > 0 && w.d.sched.empty() {
			w.q.Flush()
			unflushed = 0
		}
		if !w.d.sched.wait() {
			return
		}
		if !w.d.gate.enter() {
			return
		}
		n, chain, err := w.step()
		w.d.gate.leave(w.q)
		unflushed += n
		if err != nil {
			w.d.broken(w.fail, err)
			return
		}
		if !chain {
			w.d.count.stalls.Add(1)
			unflushed = 0
			if !w.q.Wait() {
				return
			}
		}
	}
}

// step takes one buffer and fills it. n is the number of chains released; chain is false if the guest has given none.
func (w *rxWorker) step() (n int, chain bool, err error) {
	c, err := w.q.Pop()
	if c == nil || err != nil {
		return 0, false, err
	}
	room := c.Writable()
	if room <= headerSize { // Linux gives 4 KiB; without room for a byte of data a stream could never move
		c.Release(0)
		return 1, true, guestError("receive buffer", "of "+strconv.FormatUint(room, 10)+" bytes")
	}
	written, err := w.d.fill(c, room-headerSize, &w.pkt)
	c.Release(written)
	return 1, true, err
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
		err := dst.WriteAt(p.hdr[:], 0)
		if err == nil && len(p.data) > 0 {
			err = dst.WriteAt(p.data, headerSize)
		}
		n := uint32(headerSize + len(p.data))
		d.count.packetsToGuest.Add(1)
		d.count.bytesToGuest.Add(uint64(len(p.data)))
		if c != nil {
			c.sent(p)
		}
		return n, err
	}
}

// txWorker takes the packets that the guest sends.
type txWorker struct {
	d    *Device
	q    *virtio.Queue
	fail func(error)
	hdr  header
}

func (w *txWorker) run() {
	for unflushed := 0; ; {
		if !w.d.gate.enter() {
			return
		}
		took, err := w.step()
		w.d.gate.leave(w.q)
		switch {
		case err != nil:
			w.d.broken(w.fail, err)
			return
		case !took:
			unflushed = 0
			if !w.q.Wait() {
				return
			}
		default:
			if unflushed++; unflushed == flushEvery {
				w.q.Flush()
				unflushed = 0
			}
		}
	}
}

// step takes one packet, if there is one.
func (w *txWorker) step() (took bool, err error) {
	c, err := w.q.Pop()
	if c == nil || err != nil {
		return false, err
	}
	defer c.Release(0)
	return true, w.d.take(c, c.Readable(), &w.hdr)
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
