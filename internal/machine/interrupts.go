package machine

import (
	"errors"
	"fmt"
	"sync"

	"github.com/husk-vm/husk/devices"
	"github.com/husk-vm/husk/internal/hv"
)

// vectors makes MSI vectors the way the back end does best: its own where it has some, else one call a message.
type vectors struct {
	irqs  hv.IRQFDs // nil where the back end has none
	lapic hv.X86LAPICs
}

// NewMSI implements devices.Interrupts.
func (v vectors) NewMSI() (devices.MSIVector, error) {
	if v.irqs != nil {
		irq, err := v.irqs.NewIRQ()
		if err == nil {
			return irqVector{irq}, nil
		}
		if !errors.Is(err, errors.ErrUnsupported) {
			return nil, fmt.Errorf("machine: interrupt vector: %w", err)
		}
	}
	return &signalVector{lapic: v.lapic}, nil
}

// irqVector is a vector of the back end's.
type irqVector struct{ hv.IRQ }

func (v irqVector) Route(m devices.MSI) error { return v.IRQ.Route(m.Addr, m.Data) }

// doorbells makes doorbells that guest stores ring without leaving the guest, where the back end can.
type doorbells struct{ events hv.Events }

// NewDoorbell implements devices.Doorbells.
func (d doorbells) NewDoorbell() (devices.Doorbell, error) {
	if d.events == nil {
		return devices.NewChannelDoorbell(), nil
	}
	e, err := d.events.NewEvent()
	if err != nil {
		return nil, fmt.Errorf("machine: doorbell: %w", err)
	}
	return e, nil
}

// Attach implements devices.Doorbells.
func (d doorbells) Attach(b devices.Doorbell, addr uint64) (func() error, error) {
	e, ok := b.(hv.Event)
	if d.events == nil || !ok {
		return nil, fmt.Errorf("machine: attach doorbell: %w", errors.ErrUnsupported)
	}
	return d.events.Attach(e, addr)
}

// signalVector is a vector whose messages are sent one by one.
type signalVector struct {
	lapic hv.X86LAPICs
	mu    sync.Mutex
	msi   devices.MSI // guarded by mu
	dead  bool        // guarded by mu
}

func (v *signalVector) Route(m devices.MSI) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.msi = m
	return nil
}

func (v *signalVector) Raise() {
	v.mu.Lock()
	m, ok := v.msi, !v.dead && v.msi.Addr != 0
	v.mu.Unlock()
	if ok {
		// A message that no local APIC takes is lost on real hardware too.
		_ = v.lapic.SignalMSI(m.Addr, m.Data)
	}
}

func (v *signalVector) Close() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.dead = true
	return nil
}
