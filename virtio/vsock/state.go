package vsock

import (
	"sync"

	"github.com/husk-vm/husk/virtio"
)

// State is what a snapshot keeps of a device. Connections are not part of it: their host ends are programs outside the
// VM, so a restored guest is told that they broke [VIRTIO §5.10.6.7].
type State struct {
	GuestCID uint64
	// ResetOwed says that the guest has to hear of a TRANSPORT_RESET once it runs again.
	ResetOwed bool
}

// State returns the device's state. A consistent one needs Pause first. With any connection alive, ResetOwed is set.
func (d *Device) State() State {
	d.mu.Lock()
	defer d.mu.Unlock()
	return State{GuestCID: d.cid, ResetOwed: len(d.conns) > 0 || d.events.get()}
}

// Restore gives a device that was not started yet the state of another. The next Start sends what is owed.
func (d *Device) Restore(s State) {
	d.mu.Lock()
	d.cid = s.GuestCID
	d.mu.Unlock()
	d.events.set(s.ResetOwed)
}

// ResetTransport breaks all connections on both sides: the host's end with ErrReset, the guest's through the event
// TRANSPORT_RESET. Listeners stay, and new connections can be made at once.
func (d *Device) ResetTransport() {
	d.endAll(ErrReset)
	d.events.set(true)
}

// Pause stops all work on the queues and returns when no worker holds a chain. Connections live, and stall. Resume ends
// it; so does Stop.
func (d *Device) Pause() { d.gate.pause() }

// Resume lets the workers go on.
func (d *Device) Resume() { d.gate.resume() }

// gate is what workers pass before they touch a queue.
type gate struct {
	mu      sync.Mutex
	cond    sync.Cond // L is &mu
	paused  bool      // guarded by mu
	stopped bool      // guarded by mu
	inside  int       // guarded by mu; workers at work
}

func (g *gate) init() { g.cond.L = &g.mu }

// start opens the gate, unless the device is paused.
func (g *gate) start() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.stopped = false
}

// stop sends the workers home, also those that wait.
func (g *gate) stop() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.stopped, g.paused = true, false
	g.cond.Broadcast()
}

func (g *gate) pause() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.paused = true
	for g.paused && g.inside > 0 {
		g.cond.Wait()
	}
}

func (g *gate) resume() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.paused = false
	g.cond.Broadcast()
}

// enter waits while the device is paused; false means stop.
func (g *gate) enter() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	for g.paused && !g.stopped {
		g.cond.Wait()
	}
	if g.stopped {
		return false
	}
	g.inside++
	return true
}

// leave ends what enter began. A pause finds q's ring complete: what was released is published first.
func (g *gate) leave(q *virtio.Queue) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.paused {
		g.mu.Unlock()
		q.Flush()
		g.mu.Lock()
	}
	g.inside--
	if g.inside == 0 && g.paused {
		g.cond.Broadcast()
	}
}
