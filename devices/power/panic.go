package power

import (
	"sync/atomic"

	"github.com/husk-vm/husk/devices"
)

// Events of the panic device, bits of its only port [PVPANIC].
const (
	panicPanicked    = 1 << 0 // the kernel crashed
	panicCrashLoaded = 1 << 1 // it crashed, and a crash kernel takes over
	panicSupported   = panicPanicked | panicCrashLoaded

	// PanicSize is how many ports a PanicPort decodes.
	PanicSize = 1
)

// PanicPort is the pvpanic device on one port: a guest reads which events the host knows and writes what happened. It
// has no state besides its counters. Any goroutine may call any method.
type PanicPort struct {
	panicked    func()
	panics      atomic.Uint64
	crashLoaded atomic.Uint64
}

// NewPanicPort returns a port that calls ev.Panic. A crash with a crash kernel loaded is only counted: that kernel will
// write its dump and reset the machine, and must be let.
func NewPanicPort(ev Events) *PanicPort { return &PanicPort{panicked: ev.Panic} }

// Panics is how often the guest reported a crash.
func (d *PanicPort) Panics() uint64 { return d.panics.Load() }

// CrashLoaded is how often the guest reported a crash that its crash kernel handles.
func (d *PanicPort) CrashLoaded() uint64 { return d.crashLoaded.Load() }

// Read implements devices.Device.
func (d *PanicPort) Read(off uint64, p []byte) {
	for i := range p {
		p[i] = 0xff
		if lane(off, i) == 0 {
			p[i] = panicSupported
		}
	}
}

// Write implements devices.Device.
func (d *PanicPort) Write(off uint64, p []byte) {
	if off != 0 {
		return
	}
	if p[0]&panicCrashLoaded != 0 {
		d.crashLoaded.Add(1)
	}
	if p[0]&panicPanicked != 0 {
		d.panics.Add(1)
		call(d.panicked)
	}
}

var _ devices.Device = (*PanicPort)(nil)
