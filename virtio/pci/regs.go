package pci

// isr is the ISR status: one byte, cleared by reading it [VIRTIO §4.1.4.5].
type isr Device

const isrSize = 1

// Read implements devices.Device.
func (s *isr) Read(off uint64, p []byte) {
	for i := range p {
		p[i] = 0xff
		if off+uint64(i) == 0 {
			p[i] = byte(s.isr.Swap(0))
		}
	}
}

// Write implements devices.Device: there is nothing to write.
func (*isr) Write(uint64, []byte) {}

// config is the device configuration space; devices answer for every offset.
type config Device

// Read implements devices.Device.
func (c *config) Read(off uint64, p []byte) { c.core.ReadConfig(uint32(off), p) }

// Write implements devices.Device.
func (c *config) Write(off uint64, p []byte) { c.core.WriteConfig(uint32(off), p) }

// notify is the notification structure: a store to a queue's address notifies it, whatever its width and value, as
// without notification data the address says it all [VIRTIO §4.1.5.2].
type notify Device

// Read implements devices.Device.
func (*notify) Read(_ uint64, p []byte) {
	for i := range p {
		p[i] = 0xff
	}
}

// Write implements devices.Device.
func (n *notify) Write(off uint64, _ []byte) {
	if off%notifyMultiplier == 0 {
		n.core.Notify(int(off / notifyMultiplier))
	}
}
