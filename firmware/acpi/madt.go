package acpi

const (
	madtRevision = 5          // ACPI 6.3 and later
	localAPIC    = 0xfee00000 // where every x86 CPU has its local APIC after reset [SDM vol. 3A §11.4.1]

	broadcastAPIC   = 0xff       // ids that mean "all"
	broadcastX2APIC = 0xffffffff // [SDM vol. 3A §11.12.9]
)

// Interrupt controller structures [ACPI §5.2.12].
const (
	madtLocalAPIC   = 0  // u8 UID, u8 id, u32 flags
	madtIOAPIC      = 1  // u8 id, u8 reserved, u32 address, u32 first GSI
	madtOverride    = 2  // u8 bus (ISA), u8 source, u32 GSI, u16 flags
	madtLocalNMI    = 4  // u8 UID, u16 flags, u8 LINT
	madtLocalX2APIC = 9  // u16 reserved, u32 id, u32 flags, u32 UID
	madtX2APICNMI   = 10 // u16 flags, u32 UID, u8 LINT, 3 reserved

	cpuEnabled = 1 << 0
	allUIDs    = 0xff
	allUIDsX2  = 0xffffffff
	lintNMI    = 1

	// MPS INTI flags [ACPI §5.2.12.5]: polarity in bits 1:0, trigger mode in bits 3:2.
	intiEdgeHigh  = 1 | 1<<2
	intiLevelHigh = 1 | 3<<2

	isaIRQs = 16
)

// madt lists CPUs and interrupt controllers. PCAT_COMPAT is clear: there is no 8259.
func madt(d *Desc) []byte {
	t := newTable("APIC", madtRevision)
	t = le.AppendUint32(t, localAPIC)
	t = le.AppendUint32(t, 0)
	x2 := false
	for uid, id := range d.CPUs {
		// The short structure has 8 bits for both numbers, and 255 means all [ACPI §5.2.12.2, §5.2.12.12].
		if id < broadcastAPIC && uid < allUIDs {
			t = append(t, madtLocalAPIC, 8, byte(uid), byte(id))
			t = le.AppendUint32(t, cpuEnabled)
			continue
		}
		x2 = true
		t = append(t, madtLocalX2APIC, 16, 0, 0)
		t = le.AppendUint32(t, id)
		t = le.AppendUint32(t, cpuEnabled)
		t = le.AppendUint32(t, uint32(uid))
	}
	t = append(t, madtIOAPIC, 12, d.IOAPIC.ID, 0)
	t = le.AppendUint32(t, d.IOAPIC.Addr)
	t = le.AppendUint32(t, 0)
	// ISA interrupts are edge-triggered unless it says otherwise here. The serial port's is named all the same, because
	// without an 8259 [ACPI §5.2.12] leaves open whether the low GSIs are ISA interrupts at all.
	if d.Serial != nil {
		t = appendOverride(t, uint32(d.Serial.IRQ), intiEdgeHigh)
	}
	t = appendOverride(t, d.Power.GSI, intiLevelHigh)
	t = append(t, madtLocalNMI, 6, allUIDs, 0, 0, lintNMI)
	if x2 {
		t = append(t, madtX2APICNMI, 12, 0, 0)
		t = le.AppendUint32(t, allUIDsX2)
		t = append(t, lintNMI, 0, 0, 0)
	}
	return seal(t)
}

// appendOverride says how the ISA interrupt of the same number as gsi is signalled, if there is one.
func appendOverride(t []byte, gsi uint32, flags uint16) []byte {
	if gsi >= isaIRQs {
		return t
	}
	t = append(t, madtOverride, 10, 0, byte(gsi))
	t = le.AppendUint32(t, gsi)
	return le.AppendUint16(t, flags)
}
