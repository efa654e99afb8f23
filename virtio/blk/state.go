package blk

import "fmt"

// State is what a device needs to go on elsewhere. Queues and features are the core's to save; no request is under way
// while a queue is paused.
type State struct {
	CapacitySectors uint64
	ReadOnly        bool
	ID              string
	Queues          int
	QueueSize       uint16
	BlockBytes      uint32
	PhysicalBytes   uint32
	Features        uint64 // offered
	WriteBack       bool   // the writeback field [VIRTIO §5.2.4]
}

// State returns the device's state. Any goroutine; while the queues are paused it does not change.
func (d *Device) State() State {
	return State{
		CapacitySectors: d.capacity.Load(),
		ReadOnly:        d.config.ReadOnly,
		ID:              d.config.ID,
		Queues:          d.config.Queues,
		QueueSize:       d.config.QueueSize,
		BlockBytes:      d.config.BlockBytes,
		PhysicalBytes:   d.config.PhysicalBlockBytes,
		Features:        uint64(d.features),
		WriteBack:       d.writeBack.Load(),
	}
}

// Restore makes a new device go on from s. The running guest knows the disk it had: a device that differs in anything
// but WriteBack is refused. Call it before Start.
func (d *Device) Restore(s State) error {
	want := d.State()
	want.WriteBack = s.WriteBack
	if s != want {
		return fmt.Errorf("blk: restore: the disk is %+v, the state is of %+v", want, s)
	}
	d.writeBack.Store(s.WriteBack)
	return nil
}
