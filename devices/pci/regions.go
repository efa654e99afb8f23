package pci

import "github.com/husk-vm/husk/devices"

// Regions lays several devices out in one base address. What lies between them reads as ones. The zero value is empty.
type Regions struct {
	bus devices.Bus
}

// Map puts d at [off, off+size).
func (r *Regions) Map(off, size uint64, d devices.Device) error { return r.bus.Map(off, size, d) }

// Read and Write implement devices.Device.
func (r *Regions) Read(off uint64, p []byte) { r.bus.Read(off, p) }

// Write hands p to the device at off.
func (r *Regions) Write(off uint64, p []byte) { r.bus.Write(off, p) }
