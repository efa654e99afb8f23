package acpi

// Offsets in the FADT, revision 6 [ACPI §5.2.9]. The blocks of full hardware are absent: all of them are 0.
const (
	fadtRevision      = 6
	fadtMinor         = 5 // ACPI 6.5
	fadtSize          = 276
	fadtPMTimer       = 76  // u32, PM_TMR_BLK
	fadtPMTimerLen    = 91  // u8, PM_TMR_LEN
	fadtBootArch      = 109 // u16, IAPC_BOOT_ARCH
	fadtFlags         = 112 // u32
	fadtResetReg      = 116 // GAS
	fadtResetValue    = 128 // u8
	fadtMinorRevision = 131 // u8
	fadtXDSDT         = 140 // u64
	fadtXPMTimer      = 208 // GAS
	fadtSleepControl  = 244 // GAS
	fadtSleepStatus   = 256 // GAS
	fadtHypervisor    = 268 // 8 bytes
)

// Fixed feature flags [ACPI §5.2.9 table 5.10].
const (
	flagWBINVD      = 1 << 0  // WBINVD works
	flagProcC1      = 1 << 2  // every CPU can halt
	flagPwrButton   = 1 << 4  // no fixed-hardware power button: it is a device, or there is none
	flagSlpButton   = 1 << 5  // the same for the sleep button
	flagFixRTC      = 1 << 6  // the RTC cannot wake through fixed hardware
	flagTmrValExt   = 1 << 8  // the PM timer has 32 bits, not 24
	flagResetRegSup = 1 << 10 // RESET_REG and RESET_VALUE are there
	flagHWReduced   = 1 << 20 // HW_REDUCED_ACPI
)

// Boot architecture flags [ACPI §5.2.9.3]. Bit 1, 8042, stays clear, so that Linux does not probe for a keyboard
// controller, which costs it a second (linux arch/x86/kernel/acpi/boot.c, drivers/input/serio/i8042.c).
const (
	bootLegacyDevices = 1 << 0 // there are devices on an ISA-like bus
	bootNoVGA         = 1 << 2
	bootNoCMOS        = 1 << 5
)

// hypervisorID is the Hypervisor Vendor Identity.
const hypervisorID = "HuskVMM\x00"

func fadt(d *Desc, dsdt uint64) []byte {
	t := append(newTable("FACP", fadtRevision), make([]byte, fadtSize-headerSize)...)
	flags := uint32(flagWBINVD | flagProcC1 | flagPwrButton | flagSlpButton | flagFixRTC | flagResetRegSup | flagHWReduced)
	arch := uint16(bootNoVGA)
	if !d.RTC {
		arch |= bootNoCMOS
	}
	if d.Serial != nil || d.RTC {
		arch |= bootLegacyDevices
	}
	if d.PMTimer != 0 {
		flags |= flagTmrValExt
		le.PutUint32(t[fadtPMTimer:], uint32(d.PMTimer))
		t[fadtPMTimerLen] = pmTimerPorts
		copy(t[fadtXPMTimer:], gas(spaceIO, 32, uint64(d.PMTimer)))
	}
	le.PutUint16(t[fadtBootArch:], arch)
	le.PutUint32(t[fadtFlags:], flags)
	copy(t[fadtResetReg:], gas(spaceIO, 8, d.Power.register(PowerReset)))
	t[fadtResetValue] = PowerResetValue
	t[fadtMinorRevision] = fadtMinor
	le.PutUint64(t[fadtXDSDT:], dsdt)
	copy(t[fadtSleepControl:], gas(spaceIO, 8, d.Power.register(PowerSleepControl)))
	copy(t[fadtSleepStatus:], gas(spaceIO, 8, d.Power.register(PowerSleepStatus)))
	copy(t[fadtHypervisor:], hypervisorID)
	return seal(t)
}

// register is the port of one register of the block.
func (p Power) register(off uint64) uint64 { return uint64(p.Port) + off }
