package irqchip

import (
	"fmt"

	"github.com/husk-vm/husk/devices"
)

// IOAPICState is everything a guest can tell one IOAPIC from another by. The zero value is not the power-on state:
// there, pins are masked.
type IOAPICState struct {
	ID     uint8 // 0..15
	Select uint8
	Pins   [Pins]PinState
}

// PinState is the state of one pin.
type PinState struct {
	Entry uint64 // redirection entry, remote IRR included
	High  bool   // level when saved: a device that drives the line high again makes no edge
}

// State returns the state. Call it when no vCPU runs and no device drives a line, so that every message has left.
func (a *IOAPIC) State() IOAPICState {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := IOAPICState{ID: a.id, Select: a.sel}
	for i := range a.pins {
		s.Pins[i] = PinState{Entry: uint64(a.pins[i].entry), High: a.pins[i].high}
	}
	return s
}

// SetState replaces the state, tells Routes and sends what level-triggered pins have to send. Restore the local APICs
// before and the devices on the lines after it: devices drive their lines to the level they saved. A state that no
// IOAPIC can have is refused and changes nothing.
func (a *IOAPIC) SetState(s IOAPICState) error {
	if s.ID > 0xf {
		return fmt.Errorf("restore ioapic: id %d is more than four bits", s.ID)
	}
	for i, p := range s.Pins {
		e := entry(p.Entry)
		if e&^(entryWritable|entryRemoteIRR) != 0 || e.has(entryRemoteIRR) && !e.level() {
			return fmt.Errorf("restore ioapic: pin %d: impossible entry %#x", i, p.Entry)
		}
	}
	a.mu.Lock()
	a.id, a.sel, a.pending, a.stale = s.ID, s.Select, 0, true
	for i := range a.pins {
		p, saved := &a.pins[i], s.Pins[i]
		p.entry, p.high = entry(saved.Entry), saved.High
		p.route = devices.MSI{}
		if !p.entry.masked() || p.entry.has(entryRemoteIRR) {
			p.route = p.entry.route()
		}
		a.service(i)
	}
	a.deliver()
	return nil
}
