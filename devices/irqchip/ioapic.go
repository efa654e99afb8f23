package irqchip

import (
	"encoding/binary"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/husk-vm/husk/devices"
)

const (
	// Pins is the number of interrupt inputs.
	Pins = 24
	// Size is how many bytes of MMIO space an IOAPIC decodes.
	Size = 0x100
)

// Memory-mapped registers [IOAPIC §3.1].
const (
	regSelect = 0x00 // IOREGSEL
	regWindow = 0x10 // IOWIN
	regEOI    = 0x40 // version 0x20 only: writes end a vector, as the EOI broadcast does (linux arch/x86/kernel/apic/io_apic.c)
)

// Registers behind the window [IOAPIC §3.2].
const (
	idxID    = 0x00 // IOAPICID, bits 27:24
	idxVer   = 0x01 // IOAPICVER
	idxArb   = 0x02 // IOAPICARB: the arbitration id follows the id
	idxTable = 0x10 // IOREDTBL: two registers a pin, low half first

	version = 0x20 // the first with an EOI register
	shiftID = 24
)

// Config says where an IOAPIC's messages go. Both functions may be called from any goroutine that calls a method of
// the IOAPIC or of its lines, one call at a time, with no lock of the IOAPIC held: they may call back. They must not
// wait for a vCPU to make progress.
type Config struct {
	// Send delivers one message to the local APICs. It must be set.
	Send func(devices.MSI)
	// Routes is told, before the first message that depends on it, which level-triggered message each pin sends, so
	// that the ends of these interrupts come back as EOI. A pin without one has the zero MSI. The slice has Pins
	// entries and is valid during the call only. nil if EOI is called for every level-triggered vector anyway.
	Routes func(pins []devices.MSI)
}

// IOAPIC is an 82093AA with 24 pins and the EOI register of version 0x20.
//
// It is the user-space half of KVM's split interrupt controller, and whole for hypervisors that have none. In split
// mode the local APICs are the kernel's: messages go out through Send, and ends of interrupts come back as
// KVM_EXIT_IOAPIC_EOI only for vectors that the GSI routing table shows as level-triggered for that vCPU. Setting that
// table costs the host kernel an RCU grace period, so Routes is called only when a level-triggered message changes:
// edge-triggered pins are never in the table, and a pin that is masked keeps its route. That is cheap (drivers mask and
// unmask in interrupt handlers) and also necessary: a driver that masks the pin while its interrupt is in service
// (linux handle_fasteoi_irq with IRQS_ONESHOT) sends the EOI afterwards, and without the route it would not come back.
// A route whose pin fell out of use costs an exit for each EOI of its vector once the guest gives that vector to
// something else, so the first such EOI retires it.
//
// Lines are asserted when high. The polarity bit is kept for the guest to read, but has no effect: firmware tables say
// active high and active low for the same wires, and a virtual wire has no voltage.
//
// Ordering: routes and messages that a change causes are noted under the lock and go out with none held, carried by
// whichever goroutine is already delivering, else by the one that made the change. So a call may return while another
// goroutine is still delivering its message, as on the APIC bus; the delivery status bit shows it. Routes go first, so
// that no end of interrupt is missed. Messages of different pins have no order; several of one pin that have not left
// yet are one, as in a local APIC's request register: this bounds what is pending to one message a pin.
//
// Any goroutine may call any method.
type IOAPIC struct {
	cfg Config

	mu         sync.Mutex
	sel        uint8             // IOREGSEL, guarded by mu
	id         uint8             // 0..15, guarded by mu
	pins       [Pins]pin         // guarded by mu
	pending    uint32            // one bit a pin: its msg has not left, guarded by mu
	last       int               // pin that sent last: the search for the next begins behind it, guarded by mu
	stale      bool              // Routes must be told, guarded by mu
	delivering bool              // a goroutine is in deliver's loop, guarded by mu
	batch      [Pins]devices.MSI // what Routes sees; owned by the goroutine that delivers

	sent   atomic.Uint64
	routed atomic.Uint64
	stray  atomic.Uint64
}

// pin is one input and its entry.
type pin struct {
	entry   entry       // without entryPending
	sources int         // how many lines are high
	high    bool        // level of the pin
	msg     devices.MSI // valid if the pending bit is set
	route   devices.MSI // what the routing table shows, or will once Routes was told
}

// NewIOAPIC returns an IOAPIC as after power-on: all pins masked and low.
func NewIOAPIC(cfg Config) *IOAPIC {
	a := &IOAPIC{cfg: cfg}
	for i := range a.pins {
		a.pins[i].entry = entryAtReset
	}
	return a
}

// Reset brings the registers to their power-on values. Lines stay as their devices drive them; messages that have not
// left are dropped.
func (a *IOAPIC) Reset() {
	a.mu.Lock()
	a.sel, a.id, a.pending = 0, 0, 0
	for i := range a.pins {
		p := &a.pins[i]
		p.entry = entryAtReset
		a.setRoute(p, devices.MSI{})
	}
	a.deliver()
}

// Read implements devices.Device.
func (a *IOAPIC) Read(off uint64, p []byte) {
	for i := range p {
		p[i] = 0xff
	}
	var v uint32
	switch off {
	case regSelect:
		a.mu.Lock()
		v = uint32(a.sel)
		a.mu.Unlock()
	case regWindow:
		a.mu.Lock()
		v = a.register(a.sel)
		a.mu.Unlock()
	default:
		return
	}
	var b [4]byte
	binary.LittleEndian.PutUint32(b[:], v)
	copy(p, b[:])
}

// Write implements devices.Device. The window takes whole 32-bit registers only [IOAPIC §3.1].
func (a *IOAPIC) Write(off uint64, p []byte) {
	switch {
	case off == regSelect:
		a.mu.Lock()
		a.sel = p[0]
		a.mu.Unlock()
	case off == regWindow && len(p) >= 4:
		a.mu.Lock()
		a.setRegister(a.sel, binary.LittleEndian.Uint32(p))
		a.deliver()
	case off == regEOI:
		a.EOI(p[0])
	}
}

// EOI ends the level-triggered interrupts with this vector: pins that are still asserted interrupt again.
func (a *IOAPIC) EOI(vector uint8) {
	a.mu.Lock()
	ended := false
	for i := range a.pins {
		p := &a.pins[i]
		if p.entry.has(entryRemoteIRR) && p.entry.vector() == vector {
			p.entry &^= entryRemoteIRR
			ended = true
			a.service(i)
		}
	}
	if !ended {
		a.stray.Add(1)
		a.retire(vector)
	}
	a.deliver()
}

// Sent is the number of messages sent so far.
func (a *IOAPIC) Sent() uint64 { return a.sent.Load() }

// Routed is how often Routes was told.
func (a *IOAPIC) Routed() uint64 { return a.routed.Load() }

// StrayEOIs is the number of ends of interrupt that no pin waited for.
func (a *IOAPIC) StrayEOIs() uint64 { return a.stray.Load() }

// Line returns a new source for a pin, 0 to Pins-1, that is low. The pin is high while any of its sources is. Call it
// while the machine is built: sources are not given back.
func (a *IOAPIC) Line(pin int) devices.Line {
	if pin < 0 || pin >= Pins {
		panic(fmt.Sprintf("BUG: ioapic has no pin %d", pin))
	}
	return &source{chip: a, pin: pin}
}

// source is one of the lines that meet at a pin.
type source struct {
	chip *IOAPIC
	pin  int
	high bool // guarded by chip.mu
}

// Set implements devices.Line.
func (s *source) Set(high bool) {
	a := s.chip
	a.mu.Lock()
	if s.high != high {
		s.high = high
		if high {
			a.pins[s.pin].sources++
		} else {
			a.pins[s.pin].sources--
		}
		a.setPin(s.pin, a.pins[s.pin].sources > 0)
	}
	a.deliver()
}

// setPin sets the level of a pin.
func (a *IOAPIC) setPin(i int, high bool) {
	p := &a.pins[i]
	rise := high && !p.high
	p.high = high
	switch {
	case !rise:
	case p.entry.level():
		a.service(i)
	case !p.entry.masked(): // an edge on a masked pin is lost [IOAPIC §3.2.4]
		a.post(i)
	}
}

// service sends the message of a level-triggered pin that is asserted and does not wait for an end of interrupt.
func (a *IOAPIC) service(i int) {
	p := &a.pins[i]
	if e := p.entry; p.high && e.level() && !e.masked() && !e.has(entryRemoteIRR) {
		p.entry |= entryRemoteIRR
		a.post(i)
	}
}

// register is the value of a register behind the window. Reserved ones read as zero.
func (a *IOAPIC) register(index uint8) uint32 {
	switch index {
	case idxID, idxArb:
		return uint32(a.id) << shiftID
	case idxVer:
		return version | (Pins-1)<<16
	}
	i, high, ok := tableIndex(index)
	if !ok {
		return 0
	}
	e := a.pins[i].entry
	if a.pending>>i&1 != 0 {
		e |= entryPending
	}
	if high {
		return uint32(e >> 32)
	}
	return uint32(e)
}

// setRegister writes a register behind the window.
func (a *IOAPIC) setRegister(index uint8, v uint32) {
	if index == idxID {
		a.id = uint8(v>>shiftID) & 0xf
		return
	}
	i, high, ok := tableIndex(index)
	if !ok {
		return
	}
	p := &a.pins[i]
	e := entry(v) | p.entry>>32<<32
	if high {
		e = entry(v)<<32 | entry(uint32(p.entry))
	}
	e = e&entryWritable | p.entry&entryRemoteIRR
	if !e.level() {
		// Edge-triggered pins wait for no end. Guests without an EOI register rely on it: they flip the trigger mode to
		// forget an interrupt (linux arch/x86/kernel/apic/io_apic.c, __eoi_ioapic_pin).
		e &^= entryRemoteIRR
	}
	p.entry = e
	if !e.masked() {
		a.setRoute(p, e.route())
	}
	a.service(i)
}

// tableIndex splits the index of a redirection table register into the pin and which half of the entry.
func tableIndex(index uint8) (pin int, high, ok bool) {
	if index < idxTable || index >= idxTable+2*Pins {
		return 0, false, false
	}
	return int(index-idxTable) / 2, index&1 != 0, true
}

var _ devices.Device = (*IOAPIC)(nil)
