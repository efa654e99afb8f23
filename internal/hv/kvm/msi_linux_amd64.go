package kvm

// isMSIAddress reports whether a store to addr is an interrupt message: bits 20..31 are 0xfee, nothing above is set
// [SDM vol. 3A §11.11.1].
func isMSIAddress(addr uint64) bool { return addr>>20 == 0xfee }

// message is the kernel's form of a message. With 32-bit APIC ids it takes the destination's upper bits in the upper half
// of the address; guests that were told so put bits 8..14 of it into bits 5..11 of the address (KVM_FEATURE_MSI_EXT_DEST_ID).
func (a *archVM) message(addr uint64, data uint32) msi {
	m := msi{addressLo: uint32(addr), data: data}
	if a.wideIDs {
		const ext = 0xfe0
		m.addressHi = m.addressLo & ext << 3
		m.addressLo &^= ext
	}
	return m
}
