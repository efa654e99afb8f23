package console

import (
	"fmt"
	"slices"
)

// Stats counts what a port did since New, in bytes.
type Stats struct {
	In   uint64 // given to the guest
	Out  uint64 // written to Out
	Lost uint64 // of the guest, thrown away: there is no Out, or it failed
}

// Stats returns the counters of a port; all are zero if there is no such port.
func (d *Device) Stats(port int) Stats {
	if port < 0 || port >= len(d.ports) {
		return Stats{}
	}
	p := d.ports[port]
	return Stats{In: p.in.count.Load(), Out: p.out.count.Load(), Lost: p.out.lost.Load()}
}

// State is what a snapshot keeps of a device: what the control protocol has agreed on, port by port. Bytes in buffers are
// not part of it: those belong to the host's reader and writer.
type State struct {
	Ports []PortState
}

// PortState is the state of one port.
type PortState struct {
	Ready      bool // the driver has added the port
	Open       bool // the guest has it open
	Cols, Rows uint16
	Owed       uint8 // messages that the driver has not got yet
}

// State returns the device's state; a consistent one needs a paused virtio.Core.
func (d *Device) State() State {
	d.ctl.mu.Lock()
	defer d.ctl.mu.Unlock()
	var s State
	for i := range d.ctl.ports {
		p := &d.ctl.ports[i]
		s.Ports = append(s.Ports, PortState{
			Ready: p.ready, Open: p.in.isOpen(), Cols: p.cols, Rows: p.rows, Owed: uint8(p.owed),
		})
	}
	return s
}

// Restore gives a device that was not started yet the state of another with the same ports: the next Start goes on with
// a driver that is already running.
func (d *Device) Restore(s State) error {
	if len(s.Ports) != len(d.ports) {
		return fmt.Errorf("console: restore: state of %d ports, there are %d", len(s.Ports), len(d.ports))
	}
	d.ctl.mu.Lock()
	defer d.ctl.mu.Unlock()
	d.ctl.saved = slices.Clone(s.Ports)
	for i, p := range s.Ports {
		d.ctl.ports[i].cols, d.ctl.ports[i].rows = p.Cols, p.Rows
	}
	return nil
}
