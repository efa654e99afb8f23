package power

import (
	"encoding/binary"
	"sync/atomic"
	"time"

	"github.com/husk-vm/husk/devices"
)

const (
	// PMTimerSize is how many ports a PMTimer decodes.
	PMTimerSize = 4
	// PMTimerHz is the rate of the PM timer [ACPI §4.8.2.1].
	PMTimerHz = 3579545
)

// PMTimer is the ACPI power management timer: a 32-bit counter that guests measure their other clocks against (the FADT
// says TMR_VAL_EXT). It never interrupts: hardware-reduced ACPI has no status register for that. Writes are dropped.
//
// Any goroutine may call any method.
type PMTimer struct {
	clock func() time.Duration
	shift atomic.Uint32 // added to the clock's ticks, modulo 2^32
}

// NewPMTimer returns a timer that counts clock's time. clock must not go backwards, and any goroutine may call it; it
// stops while the machine is paused if the guest is not to notice.
func NewPMTimer(clock func() time.Duration) *PMTimer { return &PMTimer{clock: clock} }

// Read implements devices.Device. Narrow reads see the bytes of the counter as it is at each read.
func (t *PMTimer) Read(off uint64, p []byte) {
	var b [4]byte
	binary.LittleEndian.PutUint32(b[:], t.count())
	for i := range p {
		p[i] = 0xff
		if at := lane(off, i); at < PMTimerSize {
			p[i] = b[at]
		}
	}
}

// Write implements devices.Device.
func (t *PMTimer) Write(uint64, []byte) {}

// Reset sets the counter to zero.
func (t *PMTimer) Reset() { t.set(0) }

// PMTimerState is the state of a PMTimer. The zero value is the power-on state.
type PMTimerState struct {
	Count uint32 // in ticks of 1/PMTimerHz
}

// State returns the state.
func (t *PMTimer) State() PMTimerState { return PMTimerState{t.count()} }

// SetState makes the counter go on from the saved count. It always succeeds.
func (t *PMTimer) SetState(s PMTimerState) error {
	t.set(s.Count)
	return nil
}

func (t *PMTimer) count() uint32 { return t.ticks() + t.shift.Load() }

func (t *PMTimer) set(count uint32) { t.shift.Store(count - t.ticks()) }

// ticks converts the clock, modulo 2^32. Seconds and the rest are scaled apart: nanoseconds times the rate overflow 64
// bits after 43 minutes.
func (t *PMTimer) ticks() uint32 {
	d := t.clock()
	whole, rest := uint64(d/time.Second), uint64(d%time.Second)
	return uint32(whole*PMTimerHz + rest*PMTimerHz/uint64(time.Second))
}

var _ devices.Device = (*PMTimer)(nil)
