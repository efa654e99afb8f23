package pci

import (
	"encoding/binary"
	"sync"

	pcibus "github.com/husk-vm/husk/devices/pci"
)

// window is the capability through which firmware reaches the structures before it maps the base address: a driver
// writes bar, offset and length, and each access to pci_cfg_data accesses them there [VIRTIO §4.1.4.9].
type window struct {
	f  *pcibus.Function
	mu sync.Mutex
	b  [capBodyExtra]byte // guarded by mu
}

func newWindow(f *pcibus.Function) *window {
	w := &window{f: f}
	w.reset()
	return w
}

// reset is power-on: the window shows nothing.
func (w *window) reset() {
	w.mu.Lock()
	defer w.mu.Unlock()
	copy(w.b[:], capability(capPCI, 0, 0, 0, 0, 0, 0))
}

// Read implements devices.Device.
func (w *window) Read(off uint64, p []byte) {
	if touchesData(off, p) {
		w.access(pcibus.AccessRead)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	copy(p, w.b[off:])
}

// Write implements devices.Device.
func (w *window) Write(off uint64, p []byte) {
	w.mu.Lock()
	for i, v := range p {
		if o := off + uint64(i); o == capOffBAR || o >= capOffOffset {
			w.b[o] = v
		}
	}
	w.mu.Unlock()
	if touchesData(off, p) {
		w.access(pcibus.AccessWrite)
	}
}

func touchesData(off uint64, p []byte) bool { return off+uint64(len(p)) > capOffExtra }

// access moves the first length bytes of pci_cfg_data from or to the structure. Lengths other than 1, 2 and 4, offsets
// that are no multiple of them, and places outside of the base address do nothing; reads then give ones.
func (w *window) access(kind pcibus.Access) {
	w.mu.Lock()
	bar := int(w.b[capOffBAR])
	off := uint64(binary.LittleEndian.Uint32(w.b[capOffOffset:]))
	n := binary.LittleEndian.Uint32(w.b[capOffLength:])
	data := [4]byte(w.b[capOffExtra:])
	w.mu.Unlock()

	// The structure is accessed without the lock: it may reset the device.
	ok := (n == 1 || n == 2 || n == 4) && off%uint64(n) == 0 && w.f.BARAccess(bar, off, data[:n], kind)
	if kind == pcibus.AccessWrite {
		return
	}
	if !ok {
		data = [4]byte{0xff, 0xff, 0xff, 0xff}
	}
	w.mu.Lock()
	copy(w.b[capOffExtra:], data[:])
	w.mu.Unlock()
}
