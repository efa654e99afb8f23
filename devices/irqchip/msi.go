package irqchip

import "github.com/husk-vm/husk/devices"

// Message address and data registers [SDM vol. 3A §11.11.1, §11.11.2].
const (
	msiBase        = 0xfee00000
	msiAddrLogical = 1 << 2  // destination mode
	msiAddrExtDest = 5       // bits 11:5, destination bits 14:8: reserved in the SDM, read by KVM_FEATURE_MSI_EXT_DEST_ID guests and hosts
	msiAddrDest    = 12      // bits 19:12, destination bits 7:0
	msiDataMode    = 8       // bits 10:8
	msiDataAssert  = 1 << 14 // level: matters for level-triggered messages only
	msiDataLevel   = 1 << 15 // trigger mode
)

// message is what the pin with this entry sends. The redirection hint of the address stays 0: lowest-priority delivery
// is asked for by the delivery mode, as the I/O APIC's own messages do.
func (e entry) message() devices.MSI {
	m := devices.MSI{
		Addr: msiBase | uint64(e>>shiftDest)<<msiAddrDest | uint64(e&entryExtDest>>shiftExtDest)<<msiAddrExtDest,
		Data: uint32(e.vector()) | uint32(e.mode())<<msiDataMode,
	}
	if e.has(entryLogical) {
		m.Addr |= msiAddrLogical
	}
	if e.level() {
		m.Data |= msiDataLevel | msiDataAssert
	}
	return m
}

// vectorOf is the vector of a message.
func vectorOf(m devices.MSI) uint8 { return uint8(m.Data) }
