package pci

import (
	pcibus "github.com/husk-vm/husk/devices/pci"
	"github.com/husk-vm/husk/virtio"
)

// State is what a driver can change of a device, besides the device's own state.
type State struct {
	Core         virtio.CoreState
	Function     pcibus.FunctionState
	ConfigVector uint16
	QueueVectors []uint16
	ISR          uint8
	DeviceSelect uint32 // device_feature_select
	DriverSelect uint32 // driver_feature_select
	QueueSelect  uint16
	Window       [capBodyExtra]byte // the access window's registers
}

// State returns the state of a paused device. A reset under way is an error: wait for it first, with Reset.
func (d *Device) State() (State, error) {
	core, err := d.core.State()
	if err != nil {
		return State{}, err
	}
	s := State{
		Core: core, Function: d.function.State(),
		ConfigVector: uint16(d.configVector.Load()), ISR: uint8(d.isr.Load()),
		Window: d.window.state(),
	}
	for i := range d.queueVectors {
		s.QueueVectors = append(s.QueueVectors, uint16(d.queueVectors[i].Load()))
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	s.DeviceSelect, s.DriverSelect, s.QueueSelect = d.deviceSelect, d.driverSelect, d.queueSelect
	return s, nil
}

func (w *window) state() [capBodyExtra]byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b
}
