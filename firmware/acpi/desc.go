package acpi

import (
	"errors"
	"fmt"
)

// Conditions that Build reports.
var (
	// ErrBadDesc means that the description contradicts itself.
	ErrBadDesc = errors.New("bad description")
	// ErrNoRoom means that the tables do not fit into Desc.Area.
	ErrNoRoom = errors.New("tables do not fit in their area")
)

// Window is a range of guest-physical addresses, in bytes.
type Window struct {
	Base, Size uint64
}

func (w Window) String() string { return fmt.Sprintf("[%#x-%#x)", w.Base, w.Base+w.Size) }

func (w Window) overlaps(o Window) bool { return w.Base < o.Base+o.Size && o.Base < w.Base+w.Size }

// Desc describes a machine. Ports and interrupts that are 0 or nil are not there, where the field says so.
type Desc struct {
	CPUs   []uint32 // local APIC ids, the boot CPU first
	IOAPIC IOAPIC
	ECAM   ECAM
	MMIO32 Window // for PCI BARs, below 4 GiB
	MMIO64 Window // for PCI BARs, anywhere; Size 0: none

	Power   Power
	Serial  *Serial // COM1; nil: none
	RTC     bool    // an MC146818 at ports 0x70 and 0x71, without interrupt
	PMTimer uint16  // port of the 32-bit power management timer, 0: none
	Panic   uint16  // port of the one-byte pvpanic device, 0: none

	// Area holds the tables. A kernel that is not told the RSDP's address looks for it from 0xe0000 to 0xfffff.
	Area Window
}

// IOAPIC is the interrupt controller of GSI 0 and up.
type IOAPIC struct {
	ID   uint8
	Addr uint32 // of its registers
}

// ECAM is the memory-mapped configuration space of PCI segment 0, 1 MiB a bus.
type ECAM struct {
	Base  uint64 // a multiple of 1 MiB
	Buses int    // 1..256, from bus 0 on
}

func (e ECAM) window() Window { return Window{e.Base, uint64(e.Buses) * ecamBus} }

// ecamBus is 32 devices of 8 functions of 4 KiB [PCIE §7.2.2].
const ecamBus = 1 << 20

// Serial is a 16550 UART.
type Serial struct {
	Port uint16
	IRQ  uint8 // a GSI, edge-triggered
}

// Power is the block of one-byte registers behind power-off, reset and the power button. The constants below are the
// offsets from Port.
type Power struct {
	Port uint16
	GSI  uint32 // raised, level-triggered, while PowerEvents is not 0
}

// The registers of the power block.
const (
	PowerSleepControl = 0 // SLEEP_CONTROL_REG [ACPI §4.8.3.7]: S5 is SleepTypeS5<<2 | SleepEnable
	PowerSleepStatus  = 1 // SLEEP_STATUS_REG: WAK_STS is bit 7, never set
	PowerReset        = 2 // RESET_REG: PowerResetValue resets the machine
	PowerEvents       = 4 // pending events, cleared by reading
	PowerSize         = 5
)

// Values in the registers of the power block.
const (
	SleepTypeS5      = 5      // SLP_TYP for power-off, bits 4:2 of PowerSleepControl; what \_S5_ says
	SleepEnable      = 1 << 5 // SLP_EN
	PowerResetValue  = 1
	EventPowerButton = 1 << 0 // in PowerEvents
)

// maxCPUs bounds the MADT; x2APIC ids have 32 bits, machines have fewer.
const maxCPUs = 4096

// check looks for contradictions.
func (d *Desc) check() error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("acpi: %w: %s", ErrBadDesc, fmt.Sprintf(format, args...))
	}
	if n := len(d.CPUs); n < 1 || n > maxCPUs {
		return bad("%d CPUs, want 1 to %d", n, maxCPUs)
	}
	seen := make(map[uint32]bool, len(d.CPUs))
	for _, id := range d.CPUs {
		if seen[id] || id == broadcastX2APIC || id == broadcastAPIC {
			return bad("APIC id %d is used twice or means broadcast", id)
		}
		seen[id] = true
	}
	if n := d.ECAM.Buses; n < 1 || n > 256 || d.ECAM.Base%ecamBus != 0 {
		return bad("ECAM at %#x with %d buses", d.ECAM.Base, n)
	}
	if d.MMIO32.Size == 0 || d.MMIO32.Base > 1<<32 || d.MMIO32.Size > 1<<32-d.MMIO32.Base {
		return bad("32-bit window %v", d.MMIO32)
	}
	const apicPages = 4096
	windows := []Window{d.ECAM.window(), d.MMIO32, d.MMIO64, {uint64(d.IOAPIC.Addr), apicPages}, {localAPIC, apicPages}, d.Area}
	for i, w := range windows {
		if w.Size > maxPhys || w.Base > maxPhys-w.Size {
			return bad("window %v ends above the address space", w)
		}
		for _, o := range windows[:i] {
			if w.overlaps(o) && w.Size > 0 && o.Size > 0 {
				return bad("windows %v and %v overlap", o, w)
			}
		}
	}
	return d.checkPorts(bad)
}

// maxPhys is the end of what an x86-64 CPU can address physically [SDM vol. 3A §4.1.4].
const maxPhys = 1 << 52

// checkPorts looks for port ranges that overlap each other or the end of port space.
func (d *Desc) checkPorts(bad func(string, ...any) error) error {
	type ports struct {
		what        string
		first, size int
	}
	all := []ports{{"PCI configuration", pciConfigPort, pciConfigPorts}, {"power block", int(d.Power.Port), PowerSize}}
	if d.Power.Port == 0 {
		return bad("no power block")
	}
	if d.Serial != nil {
		all = append(all, ports{"serial port", int(d.Serial.Port), serialPorts})
	}
	if d.RTC {
		all = append(all, ports{"RTC", rtcPort, rtcPorts})
	}
	if d.PMTimer != 0 {
		all = append(all, ports{"PM timer", int(d.PMTimer), pmTimerPorts})
	}
	if d.Panic != 0 {
		all = append(all, ports{"panic device", int(d.Panic), 1})
	}
	for i, p := range all {
		if p.first+p.size > 1<<16 {
			return bad("%s: ports from %#x on run over the end", p.what, p.first)
		}
		for _, o := range all[:i] {
			if p.first < o.first+o.size && o.first < p.first+p.size {
				return bad("%s and %s share ports", o.what, p.what)
			}
		}
	}
	return nil
}

// Ports whose number or count is fixed.
const (
	pciConfigPort  = 0xcf8
	pciConfigPorts = 8
	rtcPort        = 0x70
	rtcPorts       = 2
	serialPorts    = 8
	pmTimerPorts   = 4
)
