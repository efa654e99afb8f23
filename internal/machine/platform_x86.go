package machine

import (
	"github.com/husk-vm/husk/firmware/acpi"
	"github.com/husk-vm/husk/firmware/bios"
	"github.com/husk-vm/husk/firmware/linux"
	"github.com/husk-vm/husk/firmware/smbios"
	"github.com/husk-vm/husk/internal/guestmem"
	"github.com/husk-vm/husk/internal/hv"
)

// loadGuest fills RAM: firmware tables, then the kernel with what it boots from.
func (m *Machine) loadGuest(cfg Config, kernel *linux.Kernel) error {
	ram := m.mem.Regions()
	tables, err := acpi.Build(m.acpiDesc(ram))
	if err != nil {
		return err
	}
	for _, p := range tables.Placements {
		if err := place(m.mem, p.Name, p.Addr, p.Data); err != nil {
			return err
		}
	}
	reset := bios.ResetVector(portPower+acpi.PowerReset, acpi.PowerResetValue)
	if err := place(m.mem, reset.Name, reset.Addr, reset.Data); err != nil {
		return err
	}
	placements, err := smbios.Build(smbiosDesc(cfg))
	if err != nil {
		return badConfig(err)
	}
	for _, p := range placements {
		if err := place(m.mem, "SMBIOS", p.Addr, p.Data); err != nil {
			return err
		}
	}
	plan, err := kernel.Plan(linux.Params{
		RAM: linuxRegions(ram), Reserved: []linux.MemRange{
			{Region: linux.Region{Base: ecamBase, Size: ecamSize}, Type: linux.MemReserved},
		},
		Initrd: cfg.Initrd, Cmdline: cfg.Cmdline, RSDP: tables.RSDP, Entry: cfg.Entry,
	})
	if err != nil {
		return badConfig(err)
	}
	m.entry = plan.Entry
	return load(m.mem, plan)
}

// smbiosDesc says what the machine calls itself.
func smbiosDesc(cfg Config) smbios.Desc {
	return smbios.Desc{
		Product: cfg.Name, OEM: cfg.SMBIOSStrings, CPUs: cfg.CPUs,
		Area: smbios.Window{Base: smbiosBase, Size: smbiosSize},
	}
}

// acpiDesc tells ACPI what layout_x86.go lays out.
func (m *Machine) acpiDesc(ram []guestmem.Region) acpi.Desc {
	d := acpi.Desc{
		IOAPIC: acpi.IOAPIC{ID: 0, Addr: ioapicBase},
		ECAM:   acpi.ECAM{Base: ecamBase, Buses: ecamSize >> 20},
		MMIO32: acpi.Window{Base: mmio32Base, Size: mmio32Size},
		MMIO64: acpi.Window{Base: mmio64Base(ram), Size: mmio64Size},
		Power:  acpi.Power{Port: portPower, GSI: pinPower},
		Serial: &acpi.Serial{Port: portCOM1, IRQ: pinCOM1},
		RTC:    true, Panic: portPanic,
		Area: acpi.Window{Base: acpiBase, Size: acpiSize},
	}
	if m.wantsPMTimer() {
		d.PMTimer = portPMTimer
	}
	for id := range m.cpus {
		d.CPUs = append(d.CPUs, uint32(id))
	}
	return d
}

func linuxRegions(ram []guestmem.Region) []linux.Region {
	out := make([]linux.Region, len(ram))
	for i, r := range ram {
		out[i] = linux.Region{Base: uint64(r.Base), Size: r.Size}
	}
	return out
}

// wantsPMTimer says whether the machine has an ACPI power management timer: where the back end has a paravirtual clock it
// is one more thing for the guest to find, and to measure by a hundred reads (linux drivers/clocksource/acpi_pm.c).
func (m *Machine) wantsPMTimer() bool {
	_, paravirtual := m.vm.(hv.X86Clock)
	return !paravirtual
}
