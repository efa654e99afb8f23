package pci

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/husk-vm/husk/devices"
)

const (
	capMSIX = 0x11 // PCI_CAP_ID_MSIX

	msixEnable       = 1 << 15 // PCI_MSIX_FLAGS_ENABLE
	msixFunctionMask = 1 << 14 // PCI_MSIX_FLAGS_MASKALL

	msixEntrySize = 16
	// MaxVectors is the most vectors an MSI-X table has [PCI §6.8.2.3].
	MaxVectors = 2048
)

// MSIX is the MSI-X capability of a function with its table and its pending bits [PCI §6.8.2].
//
// A vector is live while MSI-X is enabled and neither the function nor the entry is masked. Raise on a live vector
// takes no lock; a vector that is not live becomes pending and is raised when it comes to life. The machine's vector is
// made when an entry first comes to life, and its route is set only then and when the message changed: guests mask and
// unmask far more often than they move interrupts.
type MSIX struct {
	entries    []msixEntry
	interrupts devices.Interrupts // set by Root.Add
	failures   atomic.Uint64
	location   [8]byte // table and PBA: offset and BAR

	mu      sync.Mutex // Route and NewMSI are called with it held, Raise is not
	enabled bool       // guarded by mu
	masked  bool       // guarded by mu: the whole function
}

// msixEntry is one entry of the table; its fields but live are guarded by MSIX.mu.
type msixEntry struct {
	msg     devices.MSI
	masked  bool
	control uint32 // the rest of the Vector Control word
	pending bool
	vector  devices.MSIVector // nil until first needed
	route   devices.MSI       // what vector was told last
	routed  bool
	live    atomic.Pointer[devices.MSIVector] // what Raise uses; nil while masked
}

// MSIXPlace says where in a function's base addresses the table and the pending bits are. Offsets are multiples of 8.
type MSIXPlace struct {
	BAR        int
	Table, PBA uint32
}

// AddMSIX gives f an MSI-X capability with n vectors. The caller maps Table and PBA into the BAR at the offsets of p.
func (f *Function) AddMSIX(n int, p MSIXPlace) (*MSIX, error) {
	if n < 1 || n > MaxVectors || p.Table%8 != 0 || p.PBA%8 != 0 || f.msix != nil {
		return nil, fmt.Errorf("pci: msi-x with %d vectors at %#x, %#x", n, p.Table, p.PBA)
	}
	m := &MSIX{entries: make([]msixEntry, n)}
	binary.LittleEndian.PutUint32(m.location[0:], p.Table|uint32(p.BAR))
	binary.LittleEndian.PutUint32(m.location[4:], p.PBA|uint32(p.BAR))
	m.Reset()
	if _, err := f.AddRegisters(capMSIX, 2+len(m.location), (*msixControl)(m)); err != nil {
		return nil, err
	}
	f.msix = m
	return m, nil
}

// Vectors is the size of the table.
func (m *MSIX) Vectors() int { return len(m.entries) }

// Failures counts vectors that the machine could not make or route.
func (m *MSIX) Failures() uint64 { return m.failures.Load() }

// Raise sends vector i's message, or makes it pending while it is masked. While MSI-X is off, and for numbers beyond
// the table, it does nothing. Any goroutine; it does not block.
func (m *MSIX) Raise(i int) {
	if i < 0 || i >= len(m.entries) {
		return
	}
	e := &m.entries[i]
	if v := e.live.Load(); v != nil {
		(*v).Raise()
		return
	}
	m.mu.Lock()
	v := e.live.Load()
	if v == nil && m.enabled {
		e.pending = true
	}
	m.mu.Unlock()
	if v != nil {
		(*v).Raise()
	}
}

// update makes entry i live or not, as the masks say, and returns the vector to raise because it was pending. mu is held.
func (m *MSIX) update(i int) (raise devices.MSIVector) {
	e := &m.entries[i]
	if !m.enabled || m.masked || e.masked || !m.ready(e) {
		e.live.Store(nil)
		return nil
	}
	if e.live.Load() == nil {
		v := e.vector
		e.live.Store(&v)
	}
	if !e.pending {
		return nil
	}
	e.pending = false
	return e.vector
}

// ready makes and routes the entry's vector as far as needed. mu is held.
func (m *MSIX) ready(e *msixEntry) bool {
	if e.vector == nil {
		if m.interrupts == nil {
			return false
		}
		v, err := m.interrupts.NewMSI()
		if err != nil {
			m.failures.Add(1)
			return false
		}
		e.vector = v
	}
	if e.routed && e.route == e.msg {
		return true
	}
	if err := e.vector.Route(e.msg); err != nil {
		m.failures.Add(1)
		e.routed = false
		return false
	}
	e.route, e.routed = e.msg, true
	return true
}

// updateAll follows a change of the control word.
func (m *MSIX) updateAll(enabled, masked bool) {
	m.mu.Lock()
	m.enabled, m.masked = enabled, masked
	var raise []devices.MSIVector
	for i := range m.entries {
		if v := m.update(i); v != nil {
			raise = append(raise, v)
		}
	}
	m.mu.Unlock()
	for _, v := range raise {
		v.Raise()
	}
}

// Reset is power-on: MSI-X off, all entries masked [PCI §6.8.2.9], nothing pending. The machine's vectors are kept.
func (m *MSIX) Reset() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.enabled, m.masked = false, false
	for i := range m.entries {
		e := &m.entries[i]
		e.msg, e.masked, e.control, e.pending = devices.MSI{}, true, 0, false
		e.live.Store(nil)
	}
}

// Close gives the vectors back. Raise does nothing afterwards.
func (m *MSIX) Close() error {
	m.Reset()
	m.mu.Lock()
	defer m.mu.Unlock()
	var errs []error
	for i := range m.entries {
		e := &m.entries[i]
		if e.vector != nil {
			errs = append(errs, e.vector.Close())
			e.vector, e.routed = nil, false
		}
	}
	return errors.Join(errs...)
}
