package vsock

// State is what a snapshot keeps of a device. Connections are not part of it: their host ends are programs outside the
// VM, so a restored guest is told that they broke [VIRTIO §5.10.6.7].
type State struct {
	GuestCID uint64
	// ResetOwed says that the guest has to hear of a TRANSPORT_RESET once it runs again.
	ResetOwed bool
}

// State returns the device's state; a consistent one needs a paused virtio.Core. With any connection alive, ResetOwed is
// set.
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
// TRANSPORT_RESET. Listeners stay. A connection made before the guest has seen the event dies in the guest like the others.
func (d *Device) ResetTransport() {
	d.endAll(ErrReset)
	d.events.set(true)
}
