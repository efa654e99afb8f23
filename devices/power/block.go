package power

import (
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/husk-vm/husk/devices"
)

// Registers of a Block, all one byte wide except the last. The FADT and the DSDT name the same offsets.
const (
	RegSleepControl = 0 // SLEEP_CONTROL_REG [ACPI §4.8.3.7]
	RegSleepStatus  = 1 // SLEEP_STATUS_REG [ACPI §4.8.3.7]
	RegReset        = 2 // RESET_REG [ACPI §4.8.3.6]
	RegEvents       = 4 // four bytes, of which the first is used: events for the Generic Event Device [ACPI §5.6.9]

	// BlockSize is how many ports a Block decodes.
	BlockSize = 8
)

// Values for the registers.
const (
	ResetValue = 1 // RESET_VALUE: the byte that resets when written to RegReset
	SleepS5    = 5 // SLP_TYPx of soft off, the first element of _S5_

	EventPowerButton = 1 << 0 // in RegEvents: the power button was pressed
	EventSleepButton = 1 << 1 // reserved for the sleep button; never set
)

const (
	sleepType      = 7 << 2 // SLP_TYPx
	sleepTypeShift = 2
	sleepEnable    = 1 << 5 // SLP_EN, write-only
	wakeStatus     = 1 << 7 // WAK_STS
)

// Events are what a guest can ask the machine for. They are called on the thread of the vCPU that wrote the register,
// with no lock held, and must not block: they note the request. After PowerOff and Reset that vCPU must not run on (a
// guest that is told "off" and executes one more instruction may do anything), so the machine makes its vCPU loops end
// before they enter the guest again. Any of them may be nil.
type Events struct {
	PowerOff func() // soft off, S5
	Reset    func() // restart the whole machine
	Panic    func() // the guest's kernel says it crashed; it may reset, power off or hang next
}

// Block is the power management block of hardware-reduced ACPI: what little remains of the fixed hardware, and an event
// register whose line goes to the Generic Event Device's interrupt. Any goroutine may call any method.
type Block struct {
	ev  Events
	irq *devices.Output

	mu      sync.Mutex
	control uint8 // guarded by mu
	status  uint8 // guarded by mu
	events  uint8 // guarded by mu

	ignored atomic.Uint64
}

// New returns a block as after power-on. line is level-triggered: high while an event is pending. ev.Panic is not used
// here.
func New(ev Events, line devices.Line) *Block {
	return &Block{ev: ev, irq: devices.NewOutput(line)}
}

// PressPower presses the power button: the guest's ACPI event handler is interrupted. Whether it powers off is its
// affair. Presses that the guest has not seen yet count as one.
func (b *Block) PressPower() { b.change(func() { b.events |= EventPowerButton }) }

// Reset brings the registers to their power-on values and lowers the line.
func (b *Block) Reset() { b.change(func() { b.control, b.status, b.events = 0, 0, 0 }) }

// Ignored counts requests for sleep states that this machine does not have.
func (b *Block) Ignored() uint64 { return b.ignored.Load() }

// Read implements devices.Device. Reading the first byte of RegEvents takes the pending events and lowers the line.
func (b *Block) Read(off uint64, p []byte) {
	b.change(func() {
		for i := range p {
			p[i] = b.read(lane(off, i))
		}
	})
}

// Write implements devices.Device.
func (b *Block) Write(off uint64, p []byte) {
	for i, v := range p {
		b.write(lane(off, i), v)
	}
}

// read returns one byte.
// Preconditions: mu is held.
func (b *Block) read(off uint64) uint8 {
	switch off {
	case RegSleepControl:
		return b.control
	case RegSleepStatus:
		return b.status
	case RegReset, RegEvents + 1, RegEvents + 2, RegEvents + 3:
		return 0
	case RegEvents:
		e := b.events
		b.events = 0
		return e
	}
	return 0xff
}

func (b *Block) write(off uint64, v uint8) {
	switch off {
	case RegSleepControl:
		b.sleep(v)
	case RegSleepStatus:
		b.change(func() { b.status &^= v & wakeStatus }) // write one to clear
	case RegReset:
		if v == ResetValue {
			call(b.ev.Reset)
		}
	}
}

func (b *Block) sleep(v uint8) {
	typ := v & sleepType >> sleepTypeShift
	off := v&sleepEnable != 0 && typ == SleepS5
	b.change(func() {
		b.control = v & sleepType // SLP_EN reads as zero
		if v&sleepEnable != 0 && !off {
			// A state this machine does not have: it is over at once, because the guest waits for WAK_STS without end
			// (linux drivers/acpi/acpica/hwesleep.c).
			b.status |= wakeStatus
			b.ignored.Add(1)
		}
	})
	if off {
		call(b.ev.PowerOff)
	}
}

// change runs fn with the registers locked, then brings the line to the level they ask for.
func (b *Block) change(fn func()) {
	b.mu.Lock()
	fn()
	b.irq.Latch(b.events != 0)
	b.mu.Unlock()
	b.irq.Drive()
}

// State is everything a guest can tell one Block from another by. The zero value is the power-on state.
type State struct {
	Control uint8 // SLP_TYPx
	Status  uint8 // WAK_STS
	Events  uint8 // pending
}

// State returns the state.
func (b *Block) State() State {
	b.mu.Lock()
	defer b.mu.Unlock()
	return State{b.control, b.status, b.events}
}

// SetState replaces the state and drives the line to match. A state that no Block can have is refused.
func (b *Block) SetState(s State) error {
	if s.Control&^sleepType != 0 || s.Status&^wakeStatus != 0 || s.Events&^(EventPowerButton|EventSleepButton) != 0 {
		return fmt.Errorf("restore power block: impossible registers %+v", s)
	}
	b.change(func() { b.control, b.status, b.events = s.Control, s.Status, s.Events })
	return nil
}

// lane is the offset of byte i of an access at off. Wide accesses reach the one-byte registers of a port block as if
// they came byte by byte, as the bus of a PC cuts them. The sum stays at the top of the range instead of wrapping to a
// register.
func lane(off uint64, i int) uint64 { return max(off, off+uint64(i)) }

func call(fn func()) {
	if fn != nil {
		fn()
	}
}

var _ devices.Device = (*Block)(nil)
