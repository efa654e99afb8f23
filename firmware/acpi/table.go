package acpi

// Every table begins with the same header [ACPI §5.2.6].
const (
	headerSize     = 36
	headerLength   = 4 // u32
	headerRevision = 8
	headerChecksum = 9
	headerOEM      = 10 // 6 bytes
	headerOEMTable = 16 // 8 bytes
	headerOEMRev   = 24 // u32
	headerCreator  = 28 // 4 bytes, then u32 revision

	oemID      = "HUSK  "
	oemTableID = "HUSKVMM "
	creatorID  = "HUSK"
	tableRev   = 1 // of OEM and creator: to be raised when tables change
)

// newTable returns a table without body. seal completes it.
func newTable(signature string, revision byte) []byte {
	t := make([]byte, headerSize)
	copy(t, signature)
	t[headerRevision] = revision
	copy(t[headerOEM:], oemID)
	copy(t[headerOEMTable:], oemTableID)
	le.PutUint32(t[headerOEMRev:], tableRev)
	copy(t[headerCreator:], creatorID)
	le.PutUint32(t[headerCreator+4:], tableRev)
	return t
}

// seal fills in length and checksum.
func seal(t []byte) []byte {
	le.PutUint32(t[headerLength:], uint32(len(t)))
	t[headerChecksum] -= sum(t)
	return t
}

// sum is what must be 0 over a table.
func sum(b []byte) (s byte) {
	for _, c := range b {
		s += c
	}
	return s
}

// gas encodes a Generic Address Structure of one register that is accessed in one go [ACPI §5.2.3.2].
func gas(s space, bits byte, addr uint64) []byte {
	access := map[byte]byte{8: 1, 16: 2, 32: 3, 64: 4}[bits]
	return le.AppendUint64([]byte{byte(s), bits, 0, access}, addr)
}

// RSDP, revision 2 [ACPI §5.2.5.3].
const (
	rsdpSize     = 36
	rsdpV1Size   = 20 // what the first checksum covers
	rsdpChecksum = 8
	rsdpOEM      = 9
	rsdpRevision = 15
	rsdpLength   = 20 // u32
	rsdpXSDT     = 24 // u64
	rsdpExtSum   = 32
)

func rsdp(xsdt uint64) []byte {
	b := make([]byte, rsdpSize)
	copy(b, "RSD PTR ")
	copy(b[rsdpOEM:], oemID)
	b[rsdpRevision] = 2
	le.PutUint32(b[rsdpLength:], rsdpSize)
	le.PutUint64(b[rsdpXSDT:], xsdt)
	b[rsdpChecksum] -= sum(b[:rsdpV1Size])
	b[rsdpExtSum] -= sum(b)
	return b
}

// xsdt points to the other tables [ACPI §5.2.8].
func xsdt(tables []uint64) []byte {
	t := newTable("XSDT", 1)
	for _, a := range tables {
		t = le.AppendUint64(t, a)
	}
	return seal(t)
}

// mcfg says where configuration space is [PCI-FW §4.1.2]: 8 reserved bytes, then for each segment u64 base, u16
// segment, u8 first bus, u8 last bus, 4 reserved bytes.
func mcfg(e ECAM) []byte {
	t := append(newTable("MCFG", 1), make([]byte, 8)...)
	t = le.AppendUint64(t, e.Base)
	t = append(t, 0, 0, 0, byte(e.Buses-1), 0, 0, 0, 0)
	return seal(t)
}
