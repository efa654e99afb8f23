package irqchip

import (
	"math/bits"

	"github.com/husk-vm/husk/devices"
)

// All functions here want a.mu held.

// route is what the routing table shows for a pin with this entry: its message if an end of interrupt matters.
func (e entry) route() devices.MSI {
	if !e.level() {
		return devices.MSI{}
	}
	return e.message()
}

// setRoute notes the route of a pin.
func (a *IOAPIC) setRoute(p *pin, r devices.MSI) {
	if p.route != r {
		p.route = r
		a.stale = true
	}
}

// retire forgets the routes of masked pins with this vector: an end of interrupt came that no pin waited for, so the
// vector belongs to something else now, whose every EOI would come here.
func (a *IOAPIC) retire(vector uint8) {
	for i := range a.pins {
		p := &a.pins[i]
		if p.entry.masked() && !p.entry.has(entryRemoteIRR) && vectorOf(p.route) == vector {
			a.setRoute(p, devices.MSI{})
		}
	}
}

// post notes the message of a pin for delivery. The message is that of now: an edge is not lost because the guest masks
// the pin a moment later.
func (a *IOAPIC) post(i int) {
	p := &a.pins[i]
	if p.entry.deliverable() {
		p.msg = p.entry.message()
		a.pending |= 1 << i
	}
}

// deliver hands out what is noted, unless another goroutine is at it, and releases the lock.
func (a *IOAPIC) deliver() {
	if a.delivering {
		a.mu.Unlock() // the one who delivers looks again before it stops
		return
	}
	a.delivering = true
	for a.stale || a.pending != 0 {
		if a.stale {
			a.tellRoutes()
		} else {
			a.sendNext()
		}
	}
	a.delivering = false
	a.mu.Unlock()
}

func (a *IOAPIC) tellRoutes() {
	a.stale = false
	if a.cfg.Routes == nil {
		return
	}
	for i := range a.pins {
		a.batch[i] = a.pins[i].route
	}
	a.routed.Add(1)
	a.mu.Unlock()
	a.cfg.Routes(a.batch[:])
	a.mu.Lock()
}

// sendNext sends the message of the next pending pin after the last one: a pin that storms does not starve the others.
func (a *IOAPIC) sendNext() {
	twice := uint64(a.pending) | uint64(a.pending)<<Pins // so that the search wraps around
	a.last = (a.last + 1 + bits.TrailingZeros64(twice>>(a.last+1))) % Pins
	a.pending &^= 1 << a.last
	m := a.pins[a.last].msg
	a.sent.Add(1)
	a.mu.Unlock()
	a.cfg.Send(m)
	a.mu.Lock()
}
