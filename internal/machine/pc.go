package machine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/husk-vm/husk/devices"
	"github.com/husk-vm/husk/devices/irqchip"
	"github.com/husk-vm/husk/devices/pci"
	"github.com/husk-vm/husk/devices/power"
	"github.com/husk-vm/husk/devices/rtc"
	"github.com/husk-vm/husk/devices/serial"
	"github.com/husk-vm/husk/internal/hv"
	"github.com/husk-vm/husk/virtio"
	virtiopci "github.com/husk-vm/husk/virtio/pci"
)

// pc is what hangs on the buses of one incarnation.
type pc struct {
	root      *pci.Root
	functions []*virtiopci.Device
	serial    *serial.UART
	input     io.Writer // the serial port's
	power     *power.Block
}

// wire plugs everything in: interrupt controller, ports, PCI root, and the slots.
func (m *Machine) wire(slots *Slots) error {
	lapics, ok := m.vm.(hv.X86LAPICs)
	if !ok {
		return fmt.Errorf("machine: back end %s: local interrupt controllers: %w", m.backend.Name(), errors.ErrUnsupported)
	}
	m.pc = &pc{}
	m.ioapic = irqchip.NewIOAPIC(irqchip.Config{
		Send: func(msi devices.MSI) {
			if err := lapics.SignalMSI(msi.Addr, msi.Data); err != nil {
				m.log.Debug("ioapic message", "err", err)
			}
		},
		Routes: func(pins []devices.MSI) {
			routes := make([]hv.MSIRoute, len(pins))
			for i, p := range pins {
				routes[i] = hv.MSIRoute{Addr: p.Addr, Data: p.Data}
			}
			if err := lapics.SetIOAPICRoutes(routes); err != nil {
				m.finish(Exit{Reason: Failed, Err: fmt.Errorf("machine: ioapic routes: %w", err)})
			}
		},
	})
	if err := m.wirePorts(slots); err != nil {
		return err
	}
	return m.wirePCI(slots, lapics)
}

// wirePorts puts the legacy devices on the port bus, and the IOAPIC into memory.
func (m *Machine) wirePorts(slots *Slots) error {
	p := m.pc
	reset := func() { m.finish(Exit{Reason: Reset}) }
	p.power = power.New(power.Events{
		PowerOff: func() { m.finish(Exit{Reason: PowerOff}) },
		Reset:    reset,
	}, m.ioapic.Line(pinPower))
	p.serial = serial.New(serial.Config{Output: slots.serial, Line: m.ioapic.Line(pinCOM1)})
	p.serial.Start()
	p.input = p.serial.Input()
	slots.input.attach(p.input)
	keyboard := power.NewKeyboardReset(reset)
	for _, d := range []struct {
		base, size uint64
		dev        devices.Device
	}{
		{portCOM1, 8, p.serial},
		{portRTC, 2, rtc.New(time.Now)},
		{portPower, 8, p.power},
		{portPanic, 1, power.NewPanicPort(power.Events{Panic: func() { m.finish(Exit{Reason: Panic}) }})},
		{portPOST, 1, power.NewPostPort()},
		{portKeyboard, power.KeyboardSize, keyboard},
	} {
		if err := m.ports.Map(d.base, d.size, d.dev); err != nil {
			return fmt.Errorf("machine: port %#x: %w", d.base, err)
		}
	}
	if m.wantsPMTimer() {
		start := time.Now()
		timer := power.NewPMTimer(func() time.Duration { return time.Since(start) })
		if err := m.ports.Map(portPMTimer, 4, timer); err != nil {
			return fmt.Errorf("machine: port %#x: %w", portPMTimer, err)
		}
	}
	if err := m.mmio.Map(ioapicBase, ioapicSize, m.ioapic); err != nil {
		return fmt.Errorf("machine: ioapic: %w", err)
	}
	return nil
}

// wirePCI makes the PCI root and puts the slots' devices behind it, in order.
func (m *Machine) wirePCI(slots *Slots, lapics hv.X86LAPICs) error {
	irqs, _ := m.vm.(hv.IRQFDs)
	events, _ := m.vm.(hv.Events)
	root, err := pci.New(pci.Config{
		MMIO: &m.mmio, Interrupts: vectors{irqs: irqs, lapic: lapics},
		Mem32: pci.Window{Base: mmio32Base, Size: mmio32Size},
		Mem64: pci.Window{Base: mmio64Base(m.mem.Regions()), Size: mmio64Size},
	})
	if err != nil {
		return fmt.Errorf("machine: %w", err)
	}
	m.pc.root = root
	if err := m.ports.Map(portPCI, 8, root.Ports()); err != nil {
		return fmt.Errorf("machine: pci ports: %w", err)
	}
	if err := m.mmio.Map(ecamBase, ecamSize, root.ECAM()); err != nil {
		return fmt.Errorf("machine: ecam: %w", err)
	}
	host := virtio.Host{Memory: m.mem, Doorbells: doorbells{events}, Log: m.log}
	for i, dev := range slots.devices() {
		f, err := virtiopci.New(stagedDevice{dev, slots}, virtiopci.Config{Host: host})
		if err != nil {
			return fmt.Errorf("machine: pci slot %d: %w", i+1, err)
		}
		m.pc.functions = append(m.pc.functions, f)
		if err := root.Add(i+1, f.Function()); err != nil {
			return fmt.Errorf("machine: %w", err)
		}
	}
	return nil
}

// pause brings the devices to rest; vCPUs stand still already.
func (p *pc) pause(ctx context.Context) error {
	for i, f := range p.functions {
		if err := f.Pause(ctx); err != nil {
			for _, g := range p.functions[:i] {
				g.Resume()
			}
			return fmt.Errorf("machine: pause pci slot %d: %w", i+1, err)
		}
	}
	return nil
}

func (p *pc) resume() {
	for _, f := range p.functions {
		f.Resume()
	}
}

// flushTime is how long the end of a machine waits for a console that is slow to take the guest's last words.
const flushTime = 2 * time.Second

// close stops all devices and delivers the consoles' last output; no vCPU runs any more.
func (p *pc) close(slots *Slots) {
	ctx, cancel := context.WithTimeout(context.Background(), flushTime)
	defer cancel()
	for _, f := range p.functions {
		f.Close()
	}
	if p.root != nil {
		p.root.Close()
	}
	_ = slots.console.Flush(ctx) // a reader that takes nothing loses the rest
	if p.serial != nil {
		slots.input.detach(p.input)
		_ = p.serial.Close(ctx)
	}
}
