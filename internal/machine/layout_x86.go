package machine

import (
	"fmt"

	"github.com/husk-vm/husk/internal/guestmem"
)

// The address map of the PC. Each address is derived from its neighbour; layout_x86_test.go checks that nothing overlaps.
//
//	0          RAM, with the boot structures of firmware/linux in the first megabyte
//	0x9FC00    reserved: ACPI tables, SMBIOS (firmwareArea)
//	0x100000   RAM up to 3 GiB
//	3 GiB      PCI memory window, ECAM, interrupt controllers, hypervisor pages
//	4 GiB      the rest of RAM, then the 64-bit PCI window
const (
	lowRAMEnd = 3 << 30 // RAM below the hole ends here at the latest
	highRAM   = 4 << 30 // RAM above the hole starts here

	mmio32Base = lowRAMEnd
	mmio32Size = ecamBase - mmio32Base
	ecamBase   = 0xE000_0000 // 256 MiB aligned, as the base of a whole segment must be [PCIE §7.2.2]
	ecamSize   = 1 << 20     // bus 0 only
	ioapicBase = 0xFEC0_0000
	ioapicSize = 0x1000
	lapicBase  = 0xFEE0_0000

	mmio64Align = 1 << 30
	mmio64Size  = 16 << 30

	acpiBase   = 0xE_0000 // RSDP and tables: where kernels look for them without a boot loader [ACPI §5.2.5.1]
	acpiSize   = 0x1_0000
	smbiosBase = 0xF_0000 // the anchor is searched from here on
	smbiosSize = 0xFFF0   // up to the reset vector

	// MaxMemory keeps all of RAM and the 64-bit window inside 40 address bits, which every x86-64 CPU since 2003 has.
	MaxMemory = 512 << 30
	// MinMemory is enough for a small kernel and its initramfs.
	MinMemory = 16 << 20
	// MaxCPUs is what 8-bit APIC IDs allow; 255 is the broadcast address.
	MaxCPUs = 254
)

// Ports of the PC.
const (
	portKeyboard = 0x60 // 0x60 and 0x64
	portRTC      = 0x70
	portPOST     = 0x80
	portCOM1     = 0x3F8
	portPanic    = 0x505
	portPower    = 0x600 // sleep control, sleep status, reset, events
	portPMTimer  = 0x608
	portPCI      = 0xCF8
)

// Pins of the IOAPIC, which are also global system interrupts.
const (
	pinCOM1  = 4
	pinPower = 9
)

// ramRegions lays n bytes of RAM out around the hole.
func ramRegions(n uint64) []guestmem.Region {
	if n <= lowRAMEnd {
		return []guestmem.Region{{Base: 0, Size: n}}
	}
	return []guestmem.Region{{Base: 0, Size: lowRAMEnd}, {Base: highRAM, Size: n - lowRAMEnd}}
}

// mmio64Base is where the 64-bit PCI window starts: behind all RAM.
func mmio64Base(ram []guestmem.Region) uint64 {
	last := ram[len(ram)-1]
	end := max(uint64(last.Base)+last.Size, highRAM)
	return (end + mmio64Align - 1) &^ (mmio64Align - 1)
}

// checkSizes refuses configurations that no machine can be built for.
func checkSizes(cpus int, memory uint64) error {
	switch {
	case cpus < 1:
		return fmt.Errorf("machine: %d CPUs: at least 1 is needed", cpus)
	case cpus > MaxCPUs:
		return fmt.Errorf("machine: %d CPUs: at most %d are possible", cpus, MaxCPUs)
	case memory < MinMemory:
		return fmt.Errorf("machine: %d MiB of memory: at least %d MiB are needed", memory>>20, MinMemory>>20)
	case memory > MaxMemory:
		return fmt.Errorf("machine: %d GiB of memory: at most %d GiB are possible", memory>>30, MaxMemory>>30)
	case memory%guestmem.PageSize != 0:
		return fmt.Errorf("machine: %d bytes of memory: not a multiple of %d", memory, guestmem.PageSize)
	}
	return nil
}
