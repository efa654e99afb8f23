package pci

import (
	"encoding/binary"

	"github.com/husk-vm/husk/devices"
)

// PortsSize is how many ports Ports has; the first is 0xcf8 on a PC.
const PortsSize = 8

// Ports is configuration mechanism #1: CONFIG_ADDRESS in the first four ports, CONFIG_DATA in the next [PCI §3.2.2.3.2].
// Kernels use it before they know where ECAM is.
//
// As the address is one register for the machine, kernels lock around its use; two vCPUs that do not get each other's data.
func (r *Root) Ports() devices.Device { return ports{r} }

type ports struct{ r *Root }

const (
	portData = 4 // offset of CONFIG_DATA

	// addressWritable are the bits of CONFIG_ADDRESS: enable, bus, device, function, dword.
	addressWritable = 1<<31 | 0x00fffffc
	addressEnable   = 1 << 31
)

func (c ports) Read(off uint64, p []byte) {
	if off == 0 && len(p) == 4 {
		binary.LittleEndian.PutUint32(p, c.r.portAddress.Load())
		return
	}
	if f, reg := c.find(off, len(p)); f != nil {
		f.Read(reg, p)
		return
	}
	ones(p)
}

func (c ports) Write(off uint64, p []byte) {
	if off == 0 && len(p) == 4 { // other widths are not CONFIG_ADDRESS: port 0xcf9 is a reset register elsewhere
		c.r.portAddress.Store(binary.LittleEndian.Uint32(p) & addressWritable)
		return
	}
	if f, reg := c.find(off, len(p)); f != nil {
		f.Write(reg, p)
	}
}

// find returns the function that CONFIG_ADDRESS names and the register that ports off.. are a window to.
func (c ports) find(off uint64, n int) (*Function, uint64) {
	a := c.r.portAddress.Load()
	if off < portData || off+uint64(n) > PortsSize || a&addressEnable == 0 {
		return nil, 0
	}
	bus, slot, fn, reg := a>>16&0xff, a>>11&0x1f, a>>8&7, a&0xfc
	if bus != 0 || fn != 0 {
		return nil, 0
	}
	return c.r.slots[slot], uint64(reg) + off - portData
}
