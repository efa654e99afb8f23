package vsock

// This file is what the worker of the transmit queue does: packets from the guest. Everything in them is hostile.

// handle acts on one packet, whose header was copied from the guest and whose payload lies in src from offset
// headerSize on; the caller has checked that src holds that much. An error is the driver's misconduct at the level of
// the queue; a packet that only breaks this protocol costs its connection, not the device.
func (d *Device) handle(h *header, src source) error {
	if h.srcCID() != d.cid || h.dstCID() != HostCID {
		d.count.dropped.Add(1) // as vhost does (drivers/vhost/vsock.c): there is nobody to answer
		return nil
	}
	k := connKey{guest: h.srcPort(), host: h.dstPort()}
	if h.typ() != typeStream {
		d.refuse(h, k)
		return nil
	}
	if c := d.lookup(k); c != nil {
		return c.receive(h, src)
	}
	if h.op() == opRequest && d.accept(h, k) {
		return nil
	}
	d.refuse(h, k)
	return nil
}

// refuse answers h with an RST, unless it is one [VIRTIO §5.10.6.4.1].
func (d *Device) refuse(h *header, k connKey) {
	if h.op() == opRst {
		return
	}
	if h.op() == opRequest {
		d.count.refused.Add(1)
	}
	if !d.sched.addReset(reset{key: k, typ: h.typ()}) {
		d.count.dropped.Add(1)
	}
}

// accept takes a REQUEST to a listener and reports whether it could.
func (d *Device) accept(h *header, k connKey) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	l := d.listeners[k.host]
	if l == nil || !d.running || d.live >= d.maxConns || len(l.backlog) == cap(l.backlog) {
		return false
	}
	c := d.admit(k, stateOpen)
	c.peerAlloc = min(h.bufAlloc(), maxPeerAlloc)
	c.peerFwd = h.fwdCnt()
	c.txCnt = c.peerFwd // nothing is in flight, whatever a guest claims to have read
	c.owed = oweResponse
	d.sched.add(c)
	l.backlog <- c // does not block: only this function fills it, under mu
	d.count.accepted.Add(1)
	return true
}

// receive acts on a packet of this connection.
func (c *Conn) receive(h *header, src source) error {
	c.mu.Lock()
	if c.state == stateResetting || c.state == stateGone {
		gone := h.op() == opRst && c.state == stateResetting
		if gone { // each reset the other: no answer is needed any more
			c.owed = 0
			c.enter(stateGone)
		}
		c.mu.Unlock()
		if gone {
			c.d.drop(c)
		}
		return nil
	}
	if h.op() == opRst {
		c.onReset()
		c.mu.Unlock()
		c.d.drop(c)
		return nil
	}
	if !c.update(h) || !c.legal(h.op()) {
		c.violate()
		c.mu.Unlock()
		return nil
	}
	if h.op() == opRW {
		return c.onData(int(h.len()), src) // unlocks
	}
	switch h.op() {
	case opResponse:
		c.state = stateOpen
		close(c.settled)
	case opShutdown:
		c.onShutdown(shutdown(h.flags()) & shutBoth)
	case opCreditRequest:
		c.owe(oweCredit)
	}
	c.mu.Unlock()
	return nil
}

// legal reports whether a packet with that op may come now; RST may always. Precondition: mu is held.
func (c *Conn) legal(o op) bool {
	switch o {
	case opResponse:
		return c.state == stateConnecting && c.requested
	case opRW:
		return c.state != stateConnecting && !c.peer.has(shutSend)
	case opShutdown, opCreditUpdate, opCreditRequest:
		return c.state != stateConnecting
	}
	return false // REQUEST on a connection that exists, or an unknown op
}

// violate cuts a connection off whose guest broke the protocol. Precondition: mu is held.
func (c *Conn) violate() {
	c.d.count.violations.Add(1)
	c.err = ErrConnReset
	c.sendReset()
}

// update takes over the guest's credit and reports whether it makes sense: a guest cannot have read more than was sent.
// The count may go back a little, for a guest with several CPUs may queue packets in another order than it built them.
// Precondition: mu is held.
func (c *Conn) update(h *header) bool {
	if c.txCnt-h.fwdCnt() > maxPeerAlloc {
		return false
	}
	before := c.credit()
	c.peerFwd = h.fwdCnt()
	c.peerAlloc = min(h.bufAlloc(), maxPeerAlloc)
	if c.credit() != before {
		c.asked = false
	}
	if c.sendable() && (c.credit() > 0 || !c.asked) {
		c.d.sched.add(c)
	}
	return true
}

// onReset ends the connection because the guest sent RST: the answer to our SHUTDOWN, or out of the blue.
// Precondition: mu is held, the state is stateConnecting, stateOpen or stateClosing.
func (c *Conn) onReset() {
	switch {
	case c.state == stateConnecting:
		c.err = ErrRefused
		c.d.count.refusedByGuest.Add(1)
	case c.mine != shutBoth:
		c.err = ErrConnReset
		c.d.count.resets.Add(1)
	}
	c.owed = 0
	c.enter(stateGone)
}

// onShutdown notes what the guest will do no more. A guest that does neither gets an RST at once: nothing is left to
// exchange, and it frees its socket without waiting for a timeout [VIRTIO §5.10.6.5]. What it sent can still be read.
// Precondition: mu is held, the state is stateOpen or stateClosing.
func (c *Conn) onShutdown(how shutdown) {
	c.peer |= how
	if c.peer == shutBoth {
		c.sendReset()
		return
	}
	c.readable.Broadcast()
	c.writable.Broadcast()
}

// onData takes n bytes of payload. Preconditions: mu is held, and is released; the state is stateOpen or stateClosing.
func (c *Conn) onData(n int, src source) error {
	if n > maxPayload || c.rxCnt-c.told+uint32(n) > c.d.window {
		c.violate() // more than the credit it was given
		c.mu.Unlock()
		return nil
	}
	c.rxCnt += uint32(n)
	c.d.count.bytesFromGuest.Add(uint64(n))
	if n == 0 || c.mine.has(shutRcv) {
		c.consumed(n)
		c.mu.Unlock()
		return nil
	}
	k, off := c.in.reserve(n)
	c.mu.Unlock()
	return c.store(k, off, src, n)
}

// store copies n bytes to where reserve said. The lock is free meanwhile, so that Read goes on. If the host cannot reach
// the guest's memory the worker ends here, and the buffer must not stay reserved.
func (c *Conn) store(k *chunk, off int, src source, n int) error {
	stored := 0
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.in.commit(stored)
		if c.in.dead {
			c.consumed(stored) // CloseRead came meanwhile
		}
		c.readable.Signal()
	}()
	if err := copyIn(k, off, src, headerSize, n); err != nil {
		return err
	}
	stored = n
	return nil
}
