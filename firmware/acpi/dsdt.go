package acpi

// dsdt describes what cannot be found by asking the hardware. Integers have 64 bits (revision 2).
func dsdt(d *Desc) []byte {
	t := newTable("DSDT", 2)
	t = append(t, name(`\_S5`, pack(integer(SleepTypeS5), integer(SleepTypeS5), integer(0), integer(0)))...)
	body := []term{hostBridge(d), motherboard(d), powerButton(), eventDevice(d)}
	if d.Serial != nil {
		body = append(body, serialPort(d.Serial))
	}
	if d.RTC {
		body = append(body, rtc())
	}
	if d.Panic != 0 {
		body = append(body, panicDevice(d.Panic))
	}
	return seal(append(t, scope(`\_SB`, body...)...))
}

// hostBridge is the PCI root. There is no _PRT: devices use MSI-X and their Interrupt Pin register is 0.
func hostBridge(d *Desc) term {
	crs := []resource{
		wordBusNumber(0, uint16(d.ECAM.Buses-1)),
		ioPorts(pciConfigPort, pciConfigPorts),
		// Less than 4 GiB: check keeps it clear of the local APICs.
		dwordMemory(uint32(d.MMIO32.Base), uint32(d.MMIO32.Size)),
	}
	if d.MMIO64.Size > 0 {
		crs = append(crs, qwordMemory(d.MMIO64.Base, d.MMIO64.Size))
	}
	return device("PCI0",
		name("_HID", eisaID("PNP0A08")), // PCI Express root
		name("_CID", eisaID("PNP0A03")), // PCI root, for older systems
		name("_SEG", integer(0)),
		name("_BBN", integer(0)),
		name("_UID", integer(0)),
		name("_CCA", integer(1)), // DMA is coherent
		name("_CRS", resourceTemplate(crs...)),
		hostBridgeOSC(),
		hostBridgeDSM(),
	)
}

// _OSC of a PCI root [PCI-FW §4.5]: the buffer in Arg3 is status, support, control.
const (
	oscUUID    = "33DB4D5B-1FF7-401C-9657-7441C03DD766"
	oscControl = 8 // offset of the control word

	oscBadUUID     = 1 << 2
	oscBadRevision = 1 << 3
	oscMasked      = 1 << 4

	// What the system may take: hot-plug, PME, AER, the PCI Express capability. Nobody else uses them, for there is no
	// firmware left once the kernel runs.
	oscNativeHotplug = 1 << 0
	oscPME           = 1 << 2
	oscAER           = 1 << 3
	oscPCIeCap       = 1 << 4
	oscGranted       = oscNativeHotplug | oscPME | oscAER | oscPCIeCap
)

func hostBridgeOSC() term {
	status, control := path("CDW1"), path("CDW3")
	return method("_OSC", 4, serialized,
		createDWordField(arg(3), 0, "CDW1"),
		when(not(equal(arg(0), uuid(oscUUID))),
			or(status, integer(oscBadUUID), status),
			ret(arg(3))),
		when(not(equal(arg(1), integer(1))),
			or(status, integer(oscBadRevision), status),
			ret(arg(3))),
		createDWordField(arg(3), oscControl, "CDW3"),
		and(control, integer(oscGranted), local(0)),
		when(not(equal(local(0), control)),
			or(status, integer(oscMasked), status)),
		store(local(0), control),
		ret(arg(3)))
}

// _DSM of a PCI root [PCI-FW §4.6.5]: function 5 returning 0 keeps the BARs where the machine put them.
const (
	dsmUUID       = "E5C937D0-3553-4D7A-9117-EA4D19C3434D"
	dsmKeepConfig = 5
)

func hostBridgeDSM() term {
	return method("_DSM", 4, notSerialized,
		when(equal(arg(0), uuid(dsmUUID)),
			when(equal(arg(2), integer(0)),
				ret(buffer([]byte{1<<0 | 1<<dsmKeepConfig}))),
			when(equal(arg(2), integer(dsmKeepConfig)),
				ret(integer(0)))),
		ret(buffer([]byte{0})))
}

// motherboard reserves what belongs to no device. Linux does not use ECAM that no PNP0C02 device claims
// (linux arch/x86/pci/mmconfig-shared.c).
func motherboard(d *Desc) term {
	var crs []resource
	if w := d.ECAM.window(); w.Base+w.Size <= 1<<32 {
		crs = append(crs, memory32Fixed(uint32(w.Base), uint32(w.Size)))
	} else {
		crs = append(crs, qwordMemory(w.Base, w.Size))
	}
	crs = append(crs, ioPorts(d.Power.Port, PowerSize))
	if d.PMTimer != 0 {
		crs = append(crs, ioPorts(d.PMTimer, pmTimerPorts))
	}
	return device("MBRD",
		name("_HID", eisaID("PNP0C02")),
		name("_UID", integer(0)),
		name("_CRS", resourceTemplate(crs...)))
}

// notifyPressed is the notification that a button was pressed [ACPI §4.8.2.2.1.2].
const notifyPressed = 0x80

func powerButton() term {
	return device("PWRB",
		name("_HID", eisaID("PNP0C0C")),
		name("_UID", integer(0)))
}

// eventDevice is the Generic Event Device [ACPI §5.6.9]: the system calls _EVT when the interrupt comes. Reading the
// register clears it, and with it the interrupt.
func eventDevice(d *Desc) term {
	return device("GED",
		name("_HID", text("ACPI0013")),
		name("_UID", integer(0)),
		name("_CRS", resourceTemplate(interrupt(levelHigh, d.Power.GSI))),
		operationRegion("EVTR", spaceIO, d.Power.register(PowerEvents), 1),
		byteFields("EVTR", fieldUnit{"EVTS", 8}),
		method("_EVT", 1, serialized,
			store(path("EVTS"), local(0)),
			when(and(local(0), integer(EventPowerButton), nowhere()),
				notify(`\_SB.PWRB`, notifyPressed))))
}

func serialPort(s *Serial) term {
	return device("COM1",
		name("_HID", eisaID("PNP0501")),
		name("_UID", integer(1)),
		name("_CRS", resourceTemplate(
			ioPorts(s.Port, serialPorts),
			interrupt(edgeHigh, uint32(s.IRQ)))))
}

func rtc() term {
	return device("RTC",
		name("_HID", eisaID("PNP0B00")),
		name("_CRS", resourceTemplate(fixedIO(rtcPort, rtcPorts))))
}

// panicDevice is pvpanic: the guest writes the port when it panics (linux drivers/misc/pvpanic/pvpanic-mmio.c).
func panicDevice(port uint16) term {
	return device("PEVT",
		name("_HID", text("QEMU0001")),
		name("_CRS", resourceTemplate(ioPorts(port, 1))))
}
