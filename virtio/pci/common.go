package pci

import (
	"encoding/binary"

	"github.com/husk-vm/husk/virtio"
)

// The common configuration structure [VIRTIO §4.1.4.3]. It ends before queue_notify_data and queue_reset, whose
// features are not offered.
const (
	regDeviceFeatureSelect = 0x00 // le32
	regDeviceFeature       = 0x04 // le32, read-only
	regDriverFeatureSelect = 0x08 // le32
	regDriverFeature       = 0x0c // le32
	regConfigVector        = 0x10 // le16 config_msix_vector
	regNumQueues           = 0x12 // le16, read-only
	regDeviceStatus        = 0x14 // u8
	regConfigGeneration    = 0x15 // u8, read-only
	regQueueSelect         = 0x16 // le16
	regQueueSize           = 0x18 // le16
	regQueueVector         = 0x1a // le16 queue_msix_vector
	regQueueEnable         = 0x1c // le16
	regQueueNotifyOff      = 0x1e // le16, read-only
	regQueueDesc           = 0x20 // le64
	regQueueDriver         = 0x28 // le64: the available ring
	regQueueDevice         = 0x30 // le64: the used ring
	commonSize             = 0x38

	// noVector means no interrupt for this event [VIRTIO §4.1.5.1.2].
	noVector = 0xffff // VIRTIO_MSI_NO_VECTOR
)

// common is the common configuration structure as a device.
type common Device

// Read implements devices.Device. Reading has no effects here, so any part of the structure is read off a picture of
// the whole.
func (c *common) Read(off uint64, p []byte) {
	var b [commonSize]byte
	c.picture(&b)
	for i := copy(p, b[min(off, commonSize):]); i < len(p); i++ {
		p[i] = 0xff
	}
}

func (c *common) picture(b *[commonSize]byte) {
	put16, put32, put64 := binary.LittleEndian.PutUint16, binary.LittleEndian.PutUint32, binary.LittleEndian.PutUint64
	c.mu.Lock()
	deviceSelect, driverSelect, sel := c.deviceSelect, c.driverSelect, c.queueSelect
	c.mu.Unlock()
	q := c.core.Queue(int(sel))

	put32(b[regDeviceFeatureSelect:], deviceSelect)
	put32(b[regDeviceFeature:], half(c.core.Offered(), deviceSelect))
	put32(b[regDriverFeatureSelect:], driverSelect)
	put32(b[regDriverFeature:], half(c.core.DriverFeatures(), driverSelect))
	put16(b[regConfigVector:], uint16(c.configVector.Load()))
	put16(b[regNumQueues:], uint16(c.core.Queues()))
	b[regDeviceStatus] = byte(c.core.Status())
	b[regConfigGeneration] = c.core.ConfigGeneration()
	put16(b[regQueueSelect:], sel)
	put16(b[regQueueSize:], q.Size)
	put16(b[regQueueVector:], noVector)
	if int(sel) < len(c.queueVectors) {
		put16(b[regQueueVector:], uint16(c.queueVectors[sel].Load()))
		put16(b[regQueueNotifyOff:], sel)
	}
	if q.Enabled {
		put16(b[regQueueEnable:], 1)
	}
	put64(b[regQueueDesc:], uint64(q.Desc))
	put64(b[regQueueDriver:], uint64(q.Avail))
	put64(b[regQueueDevice:], uint64(q.Used))
}

// half returns the 32 feature bits that a select register names, 0 beyond the 64 that exist.
func half(f virtio.Features, sel uint32) uint32 {
	if sel > 1 {
		return 0
	}
	return uint32(f >> (32 * sel))
}

// Write implements devices.Device. A field is written whole, the 64-bit ones also as two halves [VIRTIO §4.1.3.1];
// anything else is dropped.
func (c *common) Write(off uint64, p []byte) {
	switch len(p) {
	case 1:
		if off == regDeviceStatus {
			c.setStatus(p[0])
		}
	case 2:
		c.write16(off, binary.LittleEndian.Uint16(p))
	case 4:
		c.write32(off, binary.LittleEndian.Uint32(p))
	case 8:
		if off == regQueueDesc || off == regQueueDriver || off == regQueueDevice {
			c.write32(off, binary.LittleEndian.Uint32(p))
			c.write32(off+4, binary.LittleEndian.Uint32(p[4:]))
		}
	}
}

func (c *common) setStatus(v byte) {
	if v == 0 {
		(*Device)(c).forget()
	}
	c.core.SetStatus(virtio.Status(v))
}

func (c *common) write16(off uint64, v uint16) {
	switch off {
	case regConfigVector:
		c.configVector.Store(c.vector(v))
	case regQueueSelect:
		c.mu.Lock()
		c.queueSelect = v
		c.mu.Unlock()
	case regQueueSize:
		c.setQueue(func(q *virtio.QueueConfig) { q.Size = v })
	case regQueueVector:
		if sel := c.selected(); sel < len(c.queueVectors) {
			c.queueVectors[sel].Store(c.vector(v))
		}
	case regQueueEnable:
		if v == 1 { // drivers must not write anything else
			c.setQueue(func(q *virtio.QueueConfig) { q.Enabled = true })
		}
	}
}

func (c *common) write32(off uint64, v uint32) {
	switch off {
	case regDeviceFeatureSelect:
		c.mu.Lock()
		c.deviceSelect = v
		c.mu.Unlock()
	case regDriverFeatureSelect:
		c.mu.Lock()
		c.driverSelect = v
		c.mu.Unlock()
	case regDriverFeature:
		c.mu.Lock()
		sel := c.driverSelect
		c.mu.Unlock()
		c.core.SetDriverFeatures(sel, v)
	case regQueueDesc, regQueueDesc + 4:
		c.setQueue(func(q *virtio.QueueConfig) { setHalf(&q.Desc, off, v) })
	case regQueueDriver, regQueueDriver + 4:
		c.setQueue(func(q *virtio.QueueConfig) { setHalf(&q.Avail, off, v) })
	case regQueueDevice, regQueueDevice + 4:
		c.setQueue(func(q *virtio.QueueConfig) { setHalf(&q.Used, off, v) })
	}
}

// setHalf replaces the half of an address that the register at off holds.
func setHalf[A ~uint64](a *A, off uint64, v uint32) {
	shift := off % 8 * 8
	*a = *a&^(0xffffffff<<shift) | A(v)<<shift
}

// vector is what a vector register holds after v was written: a vector that does not exist reads back as none, which is
// how a driver learns that there are not enough [VIRTIO §4.1.5.1.2.1].
func (c *common) vector(v uint16) uint32 {
	if int(v) < c.msix.Vectors() {
		return uint32(v)
	}
	return noVector
}

func (c *common) selected() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return int(c.queueSelect)
}

func (c *common) setQueue(set func(*virtio.QueueConfig)) { c.core.SetQueue(c.selected(), set) }
