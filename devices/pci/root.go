package pci

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/husk-vm/husk/devices"
)

// Mapper is the machine's MMIO bus. [devices.Bus] is one.
type Mapper interface {
	Map(base, size uint64, d devices.Device) error
	Unmap(base uint64) error
}

// Window is a range of guest-physical addresses in which base addresses may lie. Size 0 means none.
type Window struct {
	Base, Size uint64 // bytes
}

// has reports whether [addr, addr+n) lies in w.
func (w Window) has(addr, n uint64) bool {
	return addr >= w.Base && n <= w.Size && addr-w.Base <= w.Size-n
}

// Config is what a root complex gets from the machine.
type Config struct {
	MMIO         Mapper
	Interrupts   devices.Interrupts // makes the vectors of MSI-X tables
	Mem32, Mem64 Window             // for 32-bit and 64-bit base addresses; Mem32 ends below 4 GiB
}

const (
	numSlots = 32

	// ECAMSize is the size of the window that holds the configuration space of bus 0, in bytes [PCIE §7.2.2].
	ECAMSize = 1 << 20
)

// hostBridge is the identity of QEMU's generic PCI Express host bridge, which guests know.
var hostBridge = ID{Vendor: 0x1b36, Device: 0x0008, SubVendor: 0x1af4, SubDevice: 0x1100, Class: 0x060000}

// Root is a root complex with one bus and its host bridge in slot 0.
type Root struct {
	cfg         Config
	slots       [numSlots]*Function
	next32      uint64 // first free offset of the windows
	next64      uint64
	maps        sync.Mutex // serialises moves of base addresses
	conflicts   atomic.Uint64
	portAddress atomic.Uint32 // CONFIG_ADDRESS, the last write to port 0xcf8
}

// New makes a root complex. Functions are added before the guest runs.
func New(cfg Config) (*Root, error) {
	r := &Root{cfg: cfg}
	if w := cfg.Mem32; w.Size != 0 && (w.Base+w.Size > 1<<32 || w.Base > 1<<32) {
		return nil, fmt.Errorf("pci: 32-bit window %#x+%#x: ends above 4 GiB", w.Base, w.Size)
	}
	if w := cfg.Mem64; w.Base+w.Size < w.Base {
		return nil, fmt.Errorf("pci: 64-bit window %#x+%#x: wraps", w.Base, w.Size)
	}
	if err := r.Add(0, NewFunction(hostBridge)); err != nil {
		return nil, err
	}
	return r, nil
}

// Add puts f into slot, 1..31, and gives its base addresses their places. f belongs to r from then on.
func (r *Root) Add(slot int, f *Function) error {
	if slot < 0 || slot >= numSlots || r.slots[slot] != nil {
		return fmt.Errorf("pci: slot %d: no such slot, or taken", slot)
	}
	if f.root != nil {
		return fmt.Errorf("pci: slot %d: function is in use", slot)
	}
	for _, b := range f.bars {
		if b == nil {
			continue
		}
		w, next := r.cfg.Mem32, &r.next32
		if b.Wide {
			w, next = r.cfg.Mem64, &r.next64
		}
		addr := (w.Base + *next + b.Size - 1) &^ (b.Size - 1)
		if !w.has(addr, b.Size) {
			return fmt.Errorf("pci: slot %d: bar %d: no room for %#x bytes in window %#x+%#x", slot, b.index, b.Size, w.Base, w.Size)
		}
		*next = addr + b.Size - w.Base
		f.place(b, addr)
	}
	if f.msix != nil {
		f.msix.interrupts = r.cfg.Interrupts
	}
	f.root = r
	r.slots[slot] = f
	return nil
}

// forwards reports whether the root complex passes [addr, addr+n) on to its bus.
func (r *Root) forwards(addr, n uint64) bool {
	return r.cfg.Mem32.has(addr, n) || r.cfg.Mem64.has(addr, n)
}

// Conflicts counts the times a guest put a base address where something else answers.
func (r *Root) Conflicts() uint64 { return r.conflicts.Load() }

// Reset brings all functions to their power-on state and waits for their devices to stop, or until ctx ends. No vCPU runs.
func (r *Root) Reset(ctx context.Context) error {
	r.portAddress.Store(0)
	var errs []error
	for slot, f := range r.slots {
		if f == nil {
			continue
		}
		if err := f.reset(ctx); err != nil {
			errs = append(errs, fmt.Errorf("pci: reset slot %d: %w", slot, err))
		}
	}
	return errors.Join(errs...)
}

// Close gives the interrupt vectors back. No vCPU runs any more.
func (r *Root) Close() error {
	var errs []error
	for _, f := range r.slots {
		if f != nil && f.msix != nil {
			errs = append(errs, f.msix.Close())
		}
	}
	return errors.Join(errs...)
}

// ECAM is the configuration space of bus 0 as memory, ECAMSize bytes [PCIE §7.2.2].
func (r *Root) ECAM() devices.Device { return ecam{r} }

type ecam struct{ r *Root }

func (e ecam) Read(off uint64, p []byte) {
	if f, reg := e.find(off); f != nil {
		f.Read(reg, p)
		return
	}
	ones(p)
}

func (e ecam) Write(off uint64, p []byte) {
	if f, reg := e.find(off); f != nil {
		f.Write(reg, p)
	}
}

// find splits an offset into device, function and register: 5, 3 and 12 bits.
func (e ecam) find(off uint64) (*Function, uint64) {
	if off >= ECAMSize || off>>12&7 != 0 {
		return nil, 0
	}
	return e.r.slots[off>>15], off & (functionSize - 1)
}

func ones(p []byte) {
	for i := range p {
		p[i] = 0xff
	}
}
