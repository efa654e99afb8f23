package vsock

// This file is the half of a connection that the worker of the receive queue sees: what to send next.

// maxPeerAlloc caps the guest's buf_alloc, so that counters mod 2^32 stay comparable.
const maxPeerAlloc = 1 << 30

// packet is what a connection sends next.
type packet struct {
	hdr  header
	data []byte // lent by Write until sent is called
}

// owe adds to what the worker shall send. Precondition: mu is held.
func (c *Conn) owe(o owed) {
	c.owed |= o
	c.d.sched.add(c)
}

// sendReset makes an RST the only thing left to send. Precondition: mu is held, the state is not stateGone.
func (c *Conn) sendReset() {
	c.enter(stateResetting)
	c.owed = 0
	c.owe(oweReset)
}

// enter changes the state to stateResetting or stateGone. Precondition: mu is held.
func (c *Conn) enter(s state) {
	if c.state == stateConnecting {
		close(c.settled)
	}
	c.state = s
	if c.timer != nil {
		c.timer.Stop()
	}
	c.readable.Broadcast()
	c.writable.Broadcast()
}

// abandon gives up a connection that is not open yet, and reports whether it is gone, so that the caller must drop it.
// Precondition: mu is held, the state is stateConnecting.
func (c *Conn) abandon() (gone bool) {
	if c.requested {
		c.sendReset()
		return false
	}
	c.owed = 0
	c.enter(stateGone)
	return true
}

// end ends the connection with err, without a word to the guest. Neither d.mu nor mu is held.
func (c *Conn) end(err error) {
	c.mu.Lock()
	if c.state != stateGone {
		if c.err == nil {
			c.err = err
		}
		c.owed = 0
		c.enter(stateGone)
	}
	c.mu.Unlock()
	c.d.drop(c)
}

// credit is how many bytes the guest has room for [VIRTIO §5.10.6.3]. Precondition: mu is held.
func (c *Conn) credit() uint32 {
	inFlight := c.txCnt - c.peerFwd
	if inFlight >= c.peerAlloc {
		return 0
	}
	return c.peerAlloc - inFlight
}

// fetch makes the connection's next packet, for a guest buffer with room bytes after the header. ok is false if there is
// nothing to send. If ok, the caller copies the packet and calls sent.
func (c *Conn) fetch(p *packet, room uint64) (ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f := fields{
		srcCID: HostCID, srcPort: c.key.host,
		dstCID: c.d.cid, dstPort: c.key.guest,
		typ: typeStream, bufAlloc: c.d.window, fwdCnt: c.fwdCnt,
	}
	p.data = nil
	switch {
	case c.state == stateGone:
		return false
	case c.owed&oweReset != 0:
		f.op = opRst
		c.owed = 0
	case c.owed&oweRequest != 0:
		f.op = opRequest
		c.requested = true
		c.owed &^= oweRequest
	case c.owed&oweResponse != 0:
		f.op = opResponse
		c.owed &^= oweResponse
	case c.sendable() && c.credit() > 0:
		f.op = opRW
		p.data = c.out[:min(uint64(len(c.out)), uint64(c.credit()), room, maxPayload)]
		f.len = uint32(len(p.data))
		c.lent = true
		c.txCnt += f.len
	case c.owed&oweShutdown != 0:
		f.op = opShutdown
		f.flags = uint32(c.mine)
		c.owed &^= oweShutdown
	case c.owed&oweCredit != 0:
		f.op = opCreditUpdate
	case c.sendable() && !c.asked:
		f.op = opCreditRequest
		c.asked = true
	default:
		return false
	}
	c.owed &^= oweCredit // every packet says fwd_cnt
	c.told = c.fwdCnt
	p.hdr.set(f)
	return true
}

// sendable reports whether a Write waits for data to go out. Precondition: mu is held.
func (c *Conn) sendable() bool {
	return c.state == stateOpen && len(c.out) > 0 && !c.lent && c.writeErr() == nil
}

// sent ends what fetch began: the packet is in the guest's buffer. It puts the connection back on the schedule if there
// is more to send.
func (c *Conn) sent(p *packet) {
	c.mu.Lock()
	if c.lent {
		c.lent = false
		c.out = c.out[len(p.data):]
		if len(c.out) == 0 || c.writeErr() != nil {
			c.writable.Broadcast()
		}
	}
	gone := p.hdr.op() == opRst
	if gone && c.state != stateGone {
		c.enter(stateGone)
	}
	if c.owed != 0 || c.sendable() && (c.credit() > 0 || !c.asked) {
		c.d.sched.add(c)
	}
	c.mu.Unlock()
	p.data = nil
	if gone {
		c.d.drop(c)
	}
}
