package virtiotest

import (
	"context"
	"sync"

	"github.com/husk-vm/husk/internal/guestmem"
	"github.com/husk-vm/husk/virtio"
)

// Transport is how a driver reaches its device.
type Transport interface {
	DeviceType() virtio.DeviceType
	Offered() virtio.Features
	SetFeatures(virtio.Features)
	Status() virtio.Status
	SetStatus(virtio.Status)
	ReadConfig(off uint32, p []byte)
	WriteConfig(off uint32, p []byte)
	// Queues is the number of queues; QueueMax the greatest size of one.
	Queues() int
	QueueMax(i int) uint16
	SetQueue(i int, size uint16, desc, avail, used guestmem.GPA)
	Notify(i int)
	// Interrupt gets an element after the device used chains of queue i; ConfigInterrupt after a configuration change.
	// Both have one slot.
	Interrupt(i int) <-chan struct{}
	ConfigInterrupt() <-chan struct{}
	// Close takes the device away and waits for it.
	Close() error
}

// Interrupts collects interrupts in channels of one slot. It implements virtio.Interrupter.
type Interrupts struct {
	mu     sync.Mutex
	queues map[int]chan struct{} // guarded by mu
	config chan struct{}         // guarded by mu
}

func (s *Interrupts) queue(i int) chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.queues == nil {
		s.queues = map[int]chan struct{}{}
	}
	if s.queues[i] == nil {
		s.queues[i] = make(chan struct{}, 1)
	}
	return s.queues[i]
}

func (s *Interrupts) conf() chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.config == nil {
		s.config = make(chan struct{}, 1)
	}
	return s.config
}

// Config gets an element after a configuration change.
func (s *Interrupts) Config() <-chan struct{} { return s.conf() }

// QueueUsed notes an interrupt of queue i.
func (s *Interrupts) QueueUsed(i int) { signal(s.queue(i)) }

// ConfigChanged notes a configuration interrupt.
func (s *Interrupts) ConfigChanged() { signal(s.conf()) }

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// DirectTransport is a transport without registers: the driver acts on the status machine itself.
type DirectTransport struct {
	*virtio.Core
	intr *Interrupts
}

// Direct returns a transport without registers for dev.
func Direct(dev virtio.Device, host virtio.Host) (*DirectTransport, error) {
	intr := &Interrupts{}
	core, err := virtio.NewCore(dev, host, intr)
	if err != nil {
		return nil, err
	}
	return &DirectTransport{core, intr}, nil
}

// DeviceType is the device's type.
func (d *DirectTransport) DeviceType() virtio.DeviceType { return d.Type() }

// SetFeatures sets the driver's features.
func (d *DirectTransport) SetFeatures(f virtio.Features) {
	d.SetDriverFeatures(0, uint32(f))
	d.SetDriverFeatures(1, uint32(f>>32))
}

// SetStatus sets the status, and waits for the end of a reset as drivers do.
func (d *DirectTransport) SetStatus(s virtio.Status) {
	d.Core.SetStatus(s)
	if s == 0 {
		_ = d.Reset(context.Background()) // a driver polls; it cannot end early
	}
}

// QueueMax is the greatest size of queue i, while the driver has not set another.
func (d *DirectTransport) QueueMax(i int) uint16 { return d.Queue(i).Size }

// SetQueue sets queue i up and enables it.
func (d *DirectTransport) SetQueue(i int, size uint16, desc, avail, used guestmem.GPA) {
	d.Core.SetQueue(i, func(c *virtio.QueueConfig) {
		*c = virtio.QueueConfig{Size: size, Desc: desc, Avail: avail, Used: used, Enabled: true}
	})
}

// Interrupt is queue i's interrupts.
func (d *DirectTransport) Interrupt(i int) <-chan struct{} { return d.intr.queue(i) }

// ConfigInterrupt is the interrupts of configuration changes.
func (d *DirectTransport) ConfigInterrupt() <-chan struct{} { return d.intr.conf() }
