package console

import (
	"encoding/binary"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/husk-vm/husk/virtio"
)

// owed is the set of control messages that a port's driver shall get. A set needs no queue: however often the guest
// asks, the answer is owed once.
type owed uint8

// In the order in which they are sent.
const (
	oweAdd owed = 1 << iota
	oweConsole
	oweName
	oweOpen
	oweResize

	oweAll = oweAdd | oweConsole | oweName | oweOpen | oweResize
)

// portControl is what the control protocol knows of a port.
type portControl struct {
	*port
	owed       owed
	ready      bool // PORT_READY came
	hungUp     bool // In has ended
	cols, rows uint16
}

// ctl speaks the control protocol [VIRTIO §5.3.6.2].
type ctl struct {
	ignored atomic.Uint64 // messages that made no sense

	mu      sync.Mutex
	cond    sync.Cond     // L is &mu
	ports   []portControl // guarded by mu
	next    int           // guarded by mu; the port whose turn it is
	stopped bool          // guarded by mu
	saved   []PortState   // guarded by mu; for the next start, from a snapshot
}

func (c *ctl) init(ports []*port) {
	c.cond.L = &c.mu
	for _, p := range ports {
		c.ports = append(c.ports, portControl{port: p})
	}
}

// start begins the protocol anew, for a new driver, or goes on where a snapshot was taken.
func (c *ctl) start() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopped, c.next = false, 0
	for i := range c.ports {
		p := &c.ports[i]
		p.owed, p.ready, p.hungUp = 0, false, false
		if i < len(c.saved) {
			p.owed, p.ready = owed(c.saved[i].Owed)&oweAll, c.saved[i].Ready
		}
	}
}

// resume opens the ports that were open when a snapshot was taken. The inputs have started.
func (c *ctl) resume() {
	c.mu.Lock()
	saved := c.saved
	c.saved = nil
	c.mu.Unlock()
	for i := range saved {
		c.ports[i].in.setOpen(saved[i].Open)
	}
}

func (c *ctl) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopped = true
	c.cond.Broadcast()
}

func (c *ctl) size(i int) (cols, rows uint16) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ports[i].cols, c.ports[i].rows
}

func (c *ctl) resize(i int, cols, rows uint16) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := &c.ports[i]
	p.cols, p.rows = cols, rows
	if p.ready {
		p.owed |= oweResize
		c.cond.Broadcast()
	}
}

// hangUp tells the driver that nothing will come from port i any more.
func (c *ctl) hangUp(i int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := &c.ports[i]
	p.hungUp = true
	if p.ready {
		p.owed |= oweOpen
		c.cond.Broadcast()
	}
}

// wait waits until a message is owed; false means stop.
func (c *ctl) wait() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for !c.stopped && !c.pending() {
		c.cond.Wait()
	}
	return !c.stopped
}

// pending reports whether a message is owed. Precondition: mu is held.
func (c *ctl) pending() bool {
	for i := range c.ports {
		if c.ports[i].owed != 0 {
			return true
		}
	}
	return false
}

// take appends the next message that is owed to b.
func (c *ctl) take(b []byte) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	for range c.ports {
		p := &c.ports[c.next]
		if p.owed != 0 {
			return p.message(b)
		}
		c.next = (c.next + 1) % len(c.ports)
	}
	return b
}

// message appends the port's next message to b. Precondition: ctl.mu is held, a message is owed.
func (p *portControl) message(b []byte) []byte {
	id := uint32(p.id)
	first := p.owed & -p.owed
	p.owed &^= first
	switch first {
	case oweAdd:
		return appendControl(b, id, eventDeviceAdd, 1)
	case oweConsole:
		return appendControl(b, id, eventConsolePort, 1)
	case oweName:
		return append(appendControl(b, id, eventPortName, 1), p.name...)
	case oweOpen:
		if p.hungUp {
			return appendControl(b, id, eventPortOpen, 0)
		}
		return appendControl(b, id, eventPortOpen, 1)
	case oweResize:
		// The spec's order, which Linux follows since 6.15; before, it took the rows first.
		b = appendControl(b, id, eventResize, 0)
		b = binary.LittleEndian.AppendUint16(b, p.cols)
		return binary.LittleEndian.AppendUint16(b, p.rows)
	}
	panic("BUG: console: no message for " + strconv.Itoa(int(first)))
}

// send is the worker of the control receive queue.
func (c *ctl) send(q *virtio.Queue, fail func(error)) {
	buf := make([]byte, 0, maxMessage)
	for c.wait() {
		chain, err := q.Pop()
		if err == nil && chain != nil {
			err = c.serve(chain, buf)
			q.Flush()
		}
		if err != nil {
			fail(err)
			return
		}
		if chain == nil && !q.Wait() {
			return
		}
	}
}

// serve writes one message to the driver.
func (c *ctl) serve(chain *virtio.Chain, buf []byte) error {
	m := c.take(buf)
	if uint64(len(m)) > chain.Writable() {
		n := chain.Writable()
		chain.Release(0)
		return &virtio.GuestError{Op: "console control buffer", Cause: strconv.FormatUint(n, 10) + " bytes for a message of " + strconv.Itoa(len(m))}
	}
	if err := chain.WriteAt(m, 0); err != nil {
		chain.Release(0)
		return err
	}
	chain.Release(uint32(len(m)))
	return nil
}

// receive is the worker of the control transmit queue.
func (c *ctl) receive(q *virtio.Queue, fail func(error)) {
	var m control
	virtio.Serve(q, fail, func(chain *virtio.Chain) (uint32, error) {
		if err := chain.ReadAt(m[:], 0); err != nil { // also if it is too short
			return 0, err
		}
		c.handle(&m)
		return 0, nil
	})
}

// handle acts on a message of the driver.
func (c *ctl) handle(m *control) {
	if m.event() == eventDeviceReady { // the id is of no meaning
		c.deviceReady(m.value() != 0)
		return
	}
	if m.id() >= uint32(len(c.ports)) {
		c.ignored.Add(1)
		return
	}
	switch p := &c.ports[m.id()]; m.event() {
	case eventPortReady:
		c.portReady(p, m.value() != 0)
	case eventPortOpen:
		p.in.setOpen(m.value() != 0)
	default:
		c.ignored.Add(1)
	}
}

// deviceReady offers the ports to a driver that is ready for them.
func (c *ctl) deviceReady(ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !ok {
		return // the driver gave up
	}
	for i := range c.ports {
		c.ports[i].owed |= oweAdd
	}
	c.cond.Broadcast()
}

// portReady describes a port to a driver that has added it.
func (c *ctl) portReady(p *portControl, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p.ready = ok
	if !ok {
		return // the driver could not add it
	}
	p.owed = p.owed&oweAdd | oweOpen // never nothing: send counts on what wait saw
	if p.cons {
		p.owed |= oweConsole
	}
	if p.name != "" {
		p.owed |= oweName
	}
	if p.cons && (p.cols != 0 || p.rows != 0) {
		p.owed |= oweResize
	}
	c.cond.Broadcast()
}
