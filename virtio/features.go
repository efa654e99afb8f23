package virtio

// Features is a set of feature bits [VIRTIO §2.2].
type Features uint64

// Has reports whether all bits of b are in f.
func (f Features) Has(b Features) bool { return f&b == b }

// Features of rings and transports, which [Core] offers for every device [VIRTIO §6]. Devices do not name them.
const (
	FeatureIndirectDesc Features = 1 << 28 // VIRTIO_F_INDIRECT_DESC
	FeatureEventIdx     Features = 1 << 29 // VIRTIO_F_EVENT_IDX
	FeatureVersion1     Features = 1 << 32 // VIRTIO_F_VERSION_1
)

// Features that exist and are not offered, named so that tests can ask for them.
const (
	FeatureAccessPlatform   Features = 1 << 33 // VIRTIO_F_ACCESS_PLATFORM: DMA addresses are guest-physical, there is no IOMMU
	FeatureRingPacked       Features = 1 << 34 // VIRTIO_F_RING_PACKED
	FeatureInOrder          Features = 1 << 35 // VIRTIO_F_IN_ORDER
	FeatureNotificationData Features = 1 << 38 // VIRTIO_F_NOTIFICATION_DATA
	FeatureNotifConfigData  Features = 1 << 39 // VIRTIO_F_NOTIF_CONFIG_DATA
	FeatureRingReset        Features = 1 << 40 // VIRTIO_F_RING_RESET
)

// ringFeatures is what every device of ours offers besides its own bits.
const ringFeatures = FeatureIndirectDesc | FeatureEventIdx | FeatureVersion1

// deviceFeatures are the bits that belong to device types, 0..23 and 50..127 [VIRTIO §2.2]; ours end at 63.
const deviceFeatures Features = 1<<24 - 1 | ^Features(1<<50-1)

// Status is the device status field [VIRTIO §2.1].
type Status uint8

const (
	StatusAcknowledge Status = 1   // ACKNOWLEDGE: the guest has noticed the device
	StatusDriver      Status = 2   // DRIVER: it knows how to drive it
	StatusDriverOK    Status = 4   // DRIVER_OK: the driver is ready, the device may work
	StatusFeaturesOK  Status = 8   // FEATURES_OK: negotiation is complete
	StatusNeedsReset  Status = 64  // DEVICE_NEEDS_RESET: set by the device only
	StatusFailed      Status = 128 // FAILED: the driver has given up
)

// Has reports whether all bits of b are in s.
func (s Status) Has(b Status) bool { return s&b == b }
