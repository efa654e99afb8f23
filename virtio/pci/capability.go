package pci

import (
	"encoding/binary"

	pcibus "github.com/husk-vm/husk/devices/pci"
)

// capVendor is PCI_CAP_ID_VNDR: all virtio structures are found through vendor-specific capabilities [VIRTIO §4.1.4].
const capVendor = 0x09

// cfg_type of a capability [VIRTIO §4.1.4].
const (
	capCommon = 1 // VIRTIO_PCI_CAP_COMMON_CFG
	capNotify = 2 // VIRTIO_PCI_CAP_NOTIFY_CFG
	capISR    = 3 // VIRTIO_PCI_CAP_ISR_CFG
	capDevice = 4 // VIRTIO_PCI_CAP_DEVICE_CFG
	capPCI    = 5 // VIRTIO_PCI_CAP_PCI_CFG
)

// A virtio capability without the two bytes of ID and next pointer:
//
//	0         1          2     3    4         6        10       14
//	+---------+----------+-----+----+---------+--------+--------+--------------------------+
//	| cap_len | cfg_type | bar | id | padding | offset | length | notify: multiplier       |
//	|         |          |     |    |         |        |        | pci-cfg: pci_cfg_data    |
//	+---------+----------+-----+----+---------+--------+--------+--------------------------+
const (
	capBody      = 14
	capBodyExtra = 18

	capOffBAR    = 2
	capOffOffset = 6
	capOffLength = 10
	capOffExtra  = 14
)

func capability(kind uint8, offset, length uint32, extra ...byte) []byte {
	b := make([]byte, capBody, capBodyExtra)
	b[0] = byte(2 + capBody + len(extra))
	b[1] = kind
	b[capOffBAR] = barIndex
	binary.LittleEndian.PutUint32(b[capOffOffset:], offset)
	binary.LittleEndian.PutUint32(b[capOffLength:], length)
	return append(b, extra...)
}

func (d *Device) addCapabilities(f *pcibus.Function) error {
	for _, body := range [][]byte{
		capability(capCommon, offCommon, commonSize),
		capability(capISR, offISR, isrSize),
		capability(capDevice, offConfig, pageSize),
		capability(capNotify, offNotify, uint32(d.core.Queues())*notifyMultiplier, notifyMultiplier, 0, 0, 0),
	} {
		if _, err := f.AddCapability(capVendor, body); err != nil {
			return err
		}
	}
	d.window = newWindow(f)
	_, err := f.AddRegisters(capVendor, capBodyExtra, d.window)
	return err
}
