package pci

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/bits"
	"sync"

	"github.com/husk-vm/husk/devices"
)

// ID is what a driver recognises a function by.
type ID struct {
	Vendor, Device       uint16
	SubVendor, SubDevice uint16
	Class                uint32 // 24 bits: class, sub-class, programming interface
	Revision             uint8
}

// Function is one function: a header of type 0, capabilities, base addresses [PCI §6]. It is built, then handed to
// [Root.Add]; after that nothing is added any more, and its registers may be used from any goroutine.
//
// Lock order: Root.maps before mu. Devices behind capabilities and base addresses are called without either.
type Function struct {
	caps []capability // not changed after Add
	bars [numBARs]*bar
	msix *MSIX
	root *Root // set by Add
	last int   // offset of the last capability's header
	free int   // where the next one goes
	stop func(context.Context) error

	mu       sync.Mutex
	space    [configSize]byte // guarded by mu
	writable [configSize]byte // bits that a guest can write; not changed after Add
	initial  [configSize]byte // power-on contents; not changed after Add
}

// capability is a stretch of configuration space that a device answers for.
type capability struct {
	off, end int
	dev      devices.Device
}

// NewFunction makes a function with an empty capability list and no base addresses.
func NewFunction(id ID) *Function {
	f := &Function{free: headerSize, last: -1}
	put16, put32 := binary.LittleEndian.PutUint16, binary.LittleEndian.PutUint32
	put32(f.space[offRevision:], id.Class<<8|uint32(id.Revision))
	put16(f.space[offVendor:], id.Vendor)
	put16(f.space[offDevice:], id.Device)
	put16(f.space[offSubVendor:], id.SubVendor)
	put16(f.space[offSubDevice:], id.SubDevice)
	put16(f.writable[offCommand:], uint16(commandWritable))
	f.writable[offCacheLine], f.writable[offIntLine] = 0xff, 0xff
	f.initial = f.space
	return f
}

// AddCapability appends a capability with the given ID to the list; body follows the two bytes of ID and next pointer.
// It reads as given. The result is the offset of the capability's header.
func (f *Function) AddCapability(id uint8, body []byte) (int, error) {
	off, err := f.addHeader(id, len(body))
	if err != nil {
		return 0, err
	}
	copy(f.space[off+2:], body)
	f.initial = f.space
	return off, nil
}

// AddRegisters appends a capability whose body of n bytes is dev's: offset 0 is the first byte after the header. An
// access that is not wholly inside of the body reaches dev byte by byte.
func (f *Function) AddRegisters(id uint8, n int, dev devices.Device) (int, error) {
	off, err := f.addHeader(id, n)
	if err != nil {
		return 0, err
	}
	f.caps = append(f.caps, capability{off: off + 2, end: off + 2 + n, dev: dev})
	return off, nil
}

func (f *Function) addHeader(id uint8, n int) (int, error) {
	off := f.free
	if f.root != nil || off+2+n > configSize {
		return 0, fmt.Errorf("pci: capability %#x: no room for %d bytes", id, n)
	}
	if f.last < 0 {
		f.space[offCaps] = byte(off)
		f.space[offStatus] |= statusCaps
	} else {
		f.space[f.last+1] = byte(off)
	}
	f.space[off] = id
	f.last, f.free = off, (off+2+n+3)&^3 // dword-aligned [PCI §6.7]
	f.initial = f.space
	return off, nil
}

// BAR is one memory base address.
type BAR struct {
	Size         uint64 // bytes, a power of two, 4 KiB or more
	Wide         bool   // 64 bits: takes two registers, and lies in the machine's upper window
	Prefetchable bool
	Device       devices.Device
	// Moved is told where the device answers from now on, or, with mapped false, that it does not answer any more. May be
	// nil. It is called by the vCPU that wrote a register, one call at a time, and must not access the function.
	Moved func(addr uint64, mapped bool)
}

// bar is a BAR and its place.
type bar struct {
	BAR
	index int
	home  uint64 // at power-on

	at      uint64 // guarded by Root.maps
	mapped  bool   // guarded by Root.maps
	blocked bool   // guarded by Root.maps: something else answers where it wants to be
}

// SetBAR sets base address register i.
func (f *Function) SetBAR(i int, b BAR) error {
	regs := 1
	if b.Wide {
		regs = 2
	}
	switch {
	case f.root != nil:
		return fmt.Errorf("pci: bar %d: function is in use", i)
	case i < 0 || i+regs > numBARs || f.taken(i) || b.Wide && f.taken(i+1):
		return fmt.Errorf("pci: bar %d: no such register, or taken", i)
	case b.Size < 4096 || bits.OnesCount64(b.Size) != 1 || !b.Wide && b.Size > 1<<31:
		return fmt.Errorf("pci: bar %d: size %#x", i, b.Size)
	case b.Device == nil:
		return fmt.Errorf("pci: bar %d: no device", i)
	}
	f.bars[i] = &bar{BAR: b, index: i}
	mask := ^(b.Size - 1)
	binary.LittleEndian.PutUint32(f.writable[offBAR0+4*i:], uint32(mask))
	if b.Wide {
		binary.LittleEndian.PutUint32(f.writable[offBAR0+4*i+4:], uint32(mask>>32))
	}
	return nil
}

func (f *Function) taken(i int) bool {
	return f.bars[i] != nil || i > 0 && f.bars[i-1] != nil && f.bars[i-1].Wide
}

// place sets where b is at power-on.
func (f *Function) place(b *bar, addr uint64) {
	b.home = addr
	low := uint32(addr)
	if b.Wide {
		low |= bar64
	}
	if b.Prefetchable {
		low |= barPrefetch
	}
	binary.LittleEndian.PutUint32(f.space[offBAR0+4*b.index:], low)
	if b.Wide {
		binary.LittleEndian.PutUint32(f.space[offBAR0+4*b.index+4:], uint32(addr>>32))
	}
	f.initial = f.space
}

// Read and Write access the function's 4 KiB of configuration space at any offset and width. They implement
// devices.Device.
func (f *Function) Read(off uint64, p []byte) {
	if dev, o := f.owner(off, len(p)); dev != nil {
		dev.Read(o, p)
		return
	}
	f.mu.Lock()
	for i := range p {
		switch o := off + uint64(i); {
		case o >= functionSize:
			p[i] = 0xff
		case o >= configSize:
			p[i] = 0
		default:
			p[i] = f.space[o]
		}
	}
	f.mu.Unlock()
	for i := range p {
		if dev, o := f.owner(off+uint64(i), 1); dev != nil {
			dev.Read(o, p[i:i+1])
		}
	}
}

// Write stores the writable bits. Base addresses and decoding take effect before it returns.
func (f *Function) Write(off uint64, p []byte) {
	if dev, o := f.owner(off, len(p)); dev != nil {
		dev.Write(o, p)
		return
	}
	moved := false
	f.mu.Lock()
	for i, v := range p {
		o := off + uint64(i)
		if o >= configSize || f.writable[o] == 0 {
			continue
		}
		m := f.writable[o]
		f.space[o] = f.space[o]&^m | v&m
		moved = moved || o < headerSize
	}
	f.mu.Unlock()
	for i := range p {
		if dev, o := f.owner(off+uint64(i), 1); dev != nil {
			dev.Write(o, p[i:i+1])
		}
	}
	if moved && f.root != nil {
		f.root.remap()
	}
}

// owner returns the device that answers for all of the n bytes at off, and its own offset for them.
func (f *Function) owner(off uint64, n int) (devices.Device, uint64) {
	for _, c := range f.caps { // at most configSize/4, in practice two
		if off >= uint64(c.off) && off+uint64(n) <= uint64(c.end) && off < configSize {
			return c.dev, off - uint64(c.off)
		}
	}
	return nil, 0
}

// OnReset makes stop part of the function's reset: it ends what the device behind the function does, and waits for that.
func (f *Function) OnReset(stop func(context.Context) error) { f.stop = stop }

// reset brings the function to its power-on state: the device stopped, MSI-X off, decoding off, base addresses where
// the machine put them.
func (f *Function) reset(ctx context.Context) error {
	if f.stop != nil {
		if err := f.stop(ctx); err != nil {
			return err
		}
	}
	f.mu.Lock()
	f.space = f.initial
	f.mu.Unlock()
	if f.msix != nil {
		f.msix.Reset()
	}
	f.root.remap()
	return nil
}

// BARAccess lets a capability reach a base address as a guest would, wherever it is mapped. Accesses that are not
// wholly inside of it are refused.
func (f *Function) BARAccess(i int, off uint64, p []byte, kind Access) bool {
	if i < 0 || i >= numBARs || f.bars[i] == nil {
		return false
	}
	b := f.bars[i]
	if off > b.Size || uint64(len(p)) > b.Size-off {
		return false
	}
	if kind == AccessWrite {
		b.Device.Write(off, p)
	} else {
		b.Device.Read(off, p)
	}
	return true
}

// Access is a direction.
type Access uint8

const (
	AccessRead  Access = iota // the device fills p
	AccessWrite               // the device takes p
)
