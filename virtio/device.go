package virtio

// DeviceType is a virtio device ID [VIRTIO §5].
type DeviceType uint16

const (
	TypeNet     DeviceType = 1
	TypeBlock   DeviceType = 2
	TypeConsole DeviceType = 3
	TypeEntropy DeviceType = 4
	TypeBalloon DeviceType = 5
	TypeVsock   DeviceType = 19
	TypeFS      DeviceType = 26
)

// Device is one virtio device without its transport. The transport calls everything but ReadConfig and WriteConfig
// from one goroutine at a time.
type Device interface {
	Type() DeviceType
	// Features are the device's own bits, 0..23 and 50..127 of the low 64; the transport adds those of rings and transport.
	Features() Features
	// QueueSizes is the greatest size of each queue, powers of two up to 32768, in the spec's order.
	QueueSizes() []uint16
	// ReadConfig fills p from the device configuration space; beyond its end, zeros. WriteConfig stores; most devices drop it.
	// They may be called from several vCPU threads at once.
	ReadConfig(off uint32, p []byte)
	WriteConfig(off uint32, p []byte)
	// Start begins work: the driver set DRIVER_OK. The device owns a's queues until Stop returns.
	Start(a Activation) error
	// Stop ends all work on the queues and waits for the workers; the transport has already closed the queues, so that
	// Queue.Wait returns false. Requests under way end first: nothing touches guest memory afterwards. After Stop the
	// device can be started again. Stop without Start does nothing.
	Stop()
}

// Activation is what a device works with between Start and Stop.
type Activation struct {
	Features Features // negotiated, of device, ring and transport
	Queues   []*Queue // by queue number; nil where the driver left one disabled
	// ConfigChanged tells the driver that the configuration space changed. Any goroutine, no lock held.
	ConfigChanged func()
	// Fail puts the device into DEVICE_NEEDS_RESET because of err. Any goroutine, no lock held; only the first counts.
	Fail func(err error)
}
