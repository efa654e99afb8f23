package smbios

import "slices"

const (
	vendor = "Husk"
	// firmwareVersion and firmwareDate stand for a BIOS that there is none of. They do not change with Husk's version, for
	// then a guest would see other hardware after an update.
	firmwareVersion = "1"
	firmwareDate    = "01/01/2026"
)

// Handles: the type in the upper byte.
const (
	handleMemoryArray = 16 << 8
	noHandle          = 0xffff
	noErrorHandle     = 0xfffe // "no error information structure"
)

const kib = 1 << 10

// structures returns the whole table.
func structures(d *Desc) []byte {
	all := [][]byte{firmware(), system(d), chassis(d), processor(d)}
	if len(d.OEM) > 0 {
		all = append(all, oemStrings(d.OEM))
	}
	if len(d.RAM) > 0 {
		all = append(all, memory(d.RAM)...)
	}
	return slices.Concat(append(all, bootInfo(), endOfTable())...)
}

// firmware is type 0 [SMBIOS §7.1].
func firmware() []byte {
	const (
		segment         = 0xe000
		rom128KiB       = 1
		notSupported    = 1 << 3 // characteristics are not supported
		virtualMachine  = 1 << 4 // in extension byte 2; systemd-detect-virt reads it
		unknownRevision = 0xff
	)
	return newStructure(0, 0).
		text(vendor).text(firmwareVersion).u16(segment).text(firmwareDate).u8(rom128KiB).u64(notSupported).
		u8(0, virtualMachine, unknownRevision, unknownRevision, unknownRevision, unknownRevision).bytes(0x18)
}

// system is type 1 [SMBIOS §7.2]. The first three parts of the UUID are little-endian [SMBIOS §7.2.1].
func system(d *Desc) []byte {
	const powerSwitch = 6 // wake-up type
	u := d.UUID
	slices.Reverse(u[0:4])
	slices.Reverse(u[4:6])
	slices.Reverse(u[6:8])
	return newStructure(1, 1<<8).
		text(d.Manufacturer).text(d.Product).text(d.Version).text(d.Serial).u8(u[:]...).
		u8(powerSwitch).text(d.SKU).text(d.Family).bytes(0x1b)
}

// chassis is type 3 [SMBIOS §7.4].
func chassis(d *Desc) []byte {
	const other, safe, unknown = 1, 3, 2
	return newStructure(3, 3<<8).
		text(d.Manufacturer).u8(other).text(d.Version).text(d.Serial).texts(1).
		u8(safe, safe, safe, unknown).u32(0).u8(0, 0, 0, 0).text(d.SKU).bytes(0x16)
}

// processor is type 4 [SMBIOS §7.5]: one socket with all CPUs as cores. CPUID says what they are.
func processor(d *Desc) []byte {
	const (
		central, unknown, other = 3, 2, 1
		enabled                 = 1<<6 | 1 // populated, enabled
		capable64               = 1 << 2
		see2                    = 0xff // the number is in the second field
	)
	n := byte(see2)
	if d.CPUs < see2 {
		n = byte(d.CPUs)
	}
	s := newStructure(4, 4<<8).
		text("CPU 0").u8(central, unknown).text(d.Manufacturer).u64(0).texts(1). // socket, kind, maker, id, version
		u8(0).u16(0).u16(0).u16(0).                                              // voltage and clocks are unknown
		u8(enabled, other).u16(noHandle).u16(noHandle).u16(noHandle).            // upgrade, caches
		texts(3).u8(n, n, n).u16(capable64).u16(unknown)
	for range 3 {
		s.u16(uint16(d.CPUs)) // cores, enabled cores, threads
	}
	return s.bytes(0x30)
}

// oemStrings is type 11 [SMBIOS §7.12].
func oemStrings(texts []string) []byte {
	s := newStructure(11, 11<<8).u8(byte(len(texts)))
	for _, t := range texts {
		s.string(t)
	}
	return s.bytes(0x05)
}

// memory is types 16, 17 and 19 [SMBIOS §7.17, §7.18, §7.20]: an array with one device, and where it is mapped.
func memory(ram []Window) [][]byte {
	const (
		other, systemMemory, noECC = 1, 3, 3
		useExtended                = 0x80000000 // in a 32-bit capacity or size
		formDIMM, typeRAM          = 9, 7
		detailOther                = 1 << 1
		unknownWidth               = 0xffff
		mib                        = 1 << 20
		extendedMiB                = 0x7fff // "see extended size"
		extendedAddress            = 1<<32 - 1
	)
	var total uint64
	for _, w := range ram {
		total += w.Size
	}
	capacity, extended := uint32(useExtended), total
	if total/kib < useExtended {
		capacity, extended = uint32(total/kib), 0
	}
	size, extendedSize := uint16(extendedMiB), uint32(total/mib)
	if total/mib < extendedMiB {
		size, extendedSize = uint16(total/mib), 0
	}
	out := [][]byte{
		newStructure(16, handleMemoryArray).
			u8(other, systemMemory, noECC).u32(capacity).u16(noErrorHandle).u16(1).u64(extended).bytes(0x17),
		newStructure(17, 17<<8).
			u16(handleMemoryArray).u16(noErrorHandle).u16(unknownWidth).u16(unknownWidth).u16(size).u8(formDIMM, 0).
			text("RAM 0").texts(1).u8(typeRAM).u16(detailOther).u16(0).text(vendor).texts(3).
			u8(0).u32(extendedSize).u16(0).u16(0).u16(0).u16(0).bytes(0x28),
	}
	for i, w := range ram {
		first, last := w.Base, w.Base+w.Size-1
		s := newStructure(19, 19<<8|uint16(i))
		if last/kib < extendedAddress {
			s.u32(uint32(first / kib)).u32(uint32(last / kib)).u16(handleMemoryArray).u8(1).u64(0).u64(0)
		} else {
			s.u32(extendedAddress).u32(extendedAddress).u16(handleMemoryArray).u8(1).u64(first).u64(last)
		}
		out = append(out, s.bytes(0x1f))
	}
	return out
}

// bootInfo is type 32 [SMBIOS §7.33]: no errors detected.
func bootInfo() []byte { return newStructure(32, 32<<8).u8(0, 0, 0, 0, 0, 0, 0).bytes(0x0b) }

// endOfTable is type 127 [SMBIOS §7.45].
func endOfTable() []byte { return newStructure(127, 127<<8).bytes(0x04) }
