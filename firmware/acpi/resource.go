package acpi

// resource is one resource descriptor [ACPI §6.4].
type resource []byte

// Tags of descriptors [ACPI §6.4.2, §6.4.3].
const (
	tagIO            = 0x47 // small, 7 bytes follow
	tagFixedIO       = 0x4b // small, 3 bytes follow
	tagEnd           = 0x79 // small, 1 byte follows
	tagMemory32Fixed = 0x86
	tagDWordAddress  = 0x87
	tagWordAddress   = 0x88
	tagInterrupt     = 0x89
	tagQWordAddress  = 0x8a
)

// resourceTemplate encodes ResourceTemplate(): a buffer that ends in an end tag. Its checksum 0 means "not checked".
func resourceTemplate(rs ...resource) term {
	var b []byte
	for _, r := range rs {
		b = append(b, r...)
	}
	return buffer(append(b, tagEnd, 0))
}

// large makes a descriptor with a 16-bit length.
func large(tag byte, body []byte) resource {
	return append(le.AppendUint16(resource{tag}, uint16(len(body))), body...)
}

// memory32Fixed is a writable range below 4 GiB.
func memory32Fixed(base, size uint32) resource {
	return large(tagMemory32Fixed, le.AppendUint32(le.AppendUint32([]byte{1}, base), size))
}

// ioPorts is a range of ports, all 16 address bits decoded.
func ioPorts(base uint16, size byte) resource {
	r := resource{tagIO, 1}
	r = le.AppendUint16(r, base)
	r = le.AppendUint16(r, base)
	return append(r, 1, size)
}

// fixedIO is a range of ports of which 10 address bits are decoded.
func fixedIO(base uint16, size byte) resource {
	return append(le.AppendUint16(resource{tagFixedIO}, base), size)
}

// trigger is how an interrupt is signalled; both are active high and exclusive.
type trigger byte

const (
	levelHigh trigger = 0
	edgeHigh  trigger = 1 << 1
)

// interrupt is a global system interrupt that the device raises.
func interrupt(t trigger, gsi uint32) resource {
	const consumer = 1
	return large(tagInterrupt, le.AppendUint32([]byte{consumer | byte(t), 1}, gsi))
}

// Address space descriptors [ACPI §6.4.3.5]: resource type, general flags, type-specific flags; then granularity,
// minimum, maximum, translation and length in the descriptor's width.
const (
	addrMemory   = 0
	addrBus      = 2
	addrFixed    = 1<<2 | 1<<3 // minimum and maximum are fixed; produced for children, positively decoded
	memReadWrite = 1           // and not cacheable: any BAR may lie in such a window
)

// wordBusNumber is a range of PCI buses.
func wordBusNumber(first, last uint16) resource {
	b := []byte{addrBus, addrFixed, 0}
	for _, v := range [5]uint16{0, first, last, 0, last - first + 1} {
		b = le.AppendUint16(b, v)
	}
	return large(tagWordAddress, b)
}

// dwordMemory is a window below 4 GiB, which its end may touch.
func dwordMemory(base, size uint32) resource {
	b := []byte{addrMemory, addrFixed, memReadWrite}
	for _, v := range [5]uint32{0, base, base + (size - 1), 0, size} {
		b = le.AppendUint32(b, v)
	}
	return large(tagDWordAddress, b)
}

// qwordMemory is a window anywhere.
func qwordMemory(base, size uint64) resource {
	b := []byte{addrMemory, addrFixed, memReadWrite}
	for _, v := range [5]uint64{0, base, base + (size - 1), 0, size} {
		b = le.AppendUint64(b, v)
	}
	return large(tagQWordAddress, b)
}
