package irqchip

// entry is one 64-bit entry of the redirection table, IOREDTBL [IOAPIC §3.2.4].
type entry uint64

const (
	entryVector    entry = 0xff       // INTVEC
	entryMode      entry = 7 << 8     // DELMOD
	entryLogical   entry = 1 << 11    // DESTMOD: 0 physical, 1 logical
	entryPending   entry = 1 << 12    // DELIVS, read-only: the message has not left yet
	entryActiveLow entry = 1 << 13    // INTPOL: kept, no meaning here (see IOAPIC)
	entryRemoteIRR entry = 1 << 14    // read-only: a level-triggered interrupt waits for its end
	entryLevel     entry = 1 << 15    // trigger mode
	entryMasked    entry = 1 << 16    // interrupt mask
	entryExtDest   entry = 0x7f << 49 // reserved in the data sheet; destination bits 14:8 for guests of KVM_FEATURE_MSI_EXT_DEST_ID
	entryDest      entry = 0xff << 56 // destination field
	entryReadOnly        = entryPending | entryRemoteIRR
	entryWritable        = entryVector | entryMode | entryLogical | entryActiveLow | entryLevel | entryMasked | entryExtDest | entryDest
	entryAtReset         = entryMasked
	shiftMode            = 8
	shiftExtDest         = 49
	shiftDest            = 56
)

// Delivery modes [IOAPIC §3.2.4]. The other two are reserved.
const (
	modeFixed  = 0
	modeLowest = 1
	modeSMI    = 2
	modeNMI    = 4
	modeINIT   = 5
	modeExtINT = 7
)

func (e entry) has(b entry) bool { return e&b == b }
func (e entry) vector() uint8    { return uint8(e & entryVector) }
func (e entry) mode() uint8      { return uint8(e & entryMode >> shiftMode) }
func (e entry) masked() bool     { return e.has(entryMasked) }

// level reports whether the pin is level-triggered. SMI, NMI and INIT are edges whatever the trigger mode says.
func (e entry) level() bool {
	return e.has(entryLevel) && (e.mode() == modeFixed || e.mode() == modeLowest)
}

// deliverable reports whether the mode has a message. ExtINT has none: there is no 8259 that could give its vector.
func (e entry) deliverable() bool {
	switch e.mode() {
	case modeFixed, modeLowest, modeSMI, modeNMI, modeINIT:
		return true
	}
	return false
}
