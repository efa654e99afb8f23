package virtio

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/husk-vm/husk/devices"
	"github.com/husk-vm/husk/internal/guestmem"
)

// Host is what devices get from the machine, whatever their transport.
type Host struct {
	Memory    *guestmem.Memory
	Doorbells devices.Doorbells
	// Log gets a line when a device needs a reset; nil means no log. A guest can cause that at will, so of many only the
	// first, second, fourth, eighth... are told.
	Log *slog.Logger
}

// Interrupter is how a transport interrupts the driver. Any goroutine calls it, with no lock held; it does not block.
type Interrupter interface {
	// QueueUsed says that queue i's used ring grew.
	QueueUsed(i int)
	// ConfigChanged says that the configuration space or the device status changed.
	ConfigChanged()
}

// Core is one device as its driver sees it, without the registers: negotiation, queue configuration, the life of the
// device. Every transport decodes its registers onto one Core, so that there is one status machine [VIRTIO §3.1].
//
// Methods may be called from any goroutine. What a driver must not do is ignored, as hardware would; what cannot be
// ignored leads to DEVICE_NEEDS_RESET.
//
// Lock order: pauses, mu. No device, doorbell or interrupter is called with mu held.
type Core struct {
	dev   Device
	host  Host
	intr  Interrupter
	sizes []uint16
	bells []devices.Doorbell // by queue number, for the life of the Core
	gen   atomic.Uint32      // config generation

	mu      sync.Mutex
	status  Status        // guarded by mu
	driver  Features      // guarded by mu: what the driver accepted
	queues  []QueueConfig // guarded by mu
	live    []*Queue      // guarded by mu: not nil from DRIVER_OK to the end of the reset
	life    life          // guarded by mu
	reset   chan struct{} // guarded by mu: closed when the reset under way is done, nil without one
	failure error         // guarded by mu: why the device needs a reset
	fails   uint64        // guarded by mu: how often it did
	paused  bool          // guarded by mu
	closed  bool          // guarded by mu
	wg      sync.WaitGroup

	pauses sync.Mutex // one Pause at a time; before mu
}

// life says who may call the device: whoever moved it to starting or stopping.
type life uint8

const (
	lifeStopped life = iota
	lifeStarting
	lifeRunning
	lifeStopping
)

// QueueConfig is what a driver says about one queue before it sets DRIVER_OK [VIRTIO §4.1.4.3].
type QueueConfig struct {
	Size              uint16
	Desc, Avail, Used guestmem.GPA
	Enabled           bool
}

// resetGrace is how long a driver's write of status 0 may hold its vCPU. Drivers poll until the status reads 0
// (linux drivers/virtio/virtio_pci_modern.c vp_reset), some old firmware does not; nearly all devices stop faster.
const resetGrace = 20 * time.Millisecond

// NewCore makes the driver's view of dev. It makes a doorbell for each queue.
func NewCore(dev Device, host Host, intr Interrupter) (*Core, error) {
	if f := dev.Features() &^ deviceFeatures; f != 0 {
		return nil, fmt.Errorf("virtio: device type %d: features %#x are not a device's to offer", dev.Type(), uint64(f))
	}
	if host.Log == nil {
		host.Log = slog.New(slog.DiscardHandler)
	}
	c := &Core{dev: dev, host: host, intr: intr, sizes: dev.QueueSizes()}
	for i, n := range c.sizes {
		if !validSize(n) {
			return nil, errors.Join(fmt.Errorf("virtio: device type %d: queue %d: size %d", dev.Type(), i, n), c.closeBells())
		}
		bell, err := host.Doorbells.NewDoorbell()
		if err != nil {
			return nil, errors.Join(fmt.Errorf("virtio: queue %d: doorbell: %w", i, err), c.closeBells())
		}
		c.bells = append(c.bells, bell)
	}
	c.clear()
	return c, nil
}

func (c *Core) closeBells() error {
	var errs []error
	for _, b := range c.bells {
		errs = append(errs, b.Close())
	}
	return errors.Join(errs...)
}

// clear is power-on: all the driver's settings are gone. The config generation goes on [VIRTIO §2.5.1]. mu is held, or c is new.
func (c *Core) clear() {
	c.status, c.driver, c.live, c.failure = 0, 0, nil, nil
	c.queues = make([]QueueConfig, len(c.sizes))
	for i, n := range c.sizes {
		c.queues[i].Size = n
	}
}

// Type is the device's type.
func (c *Core) Type() DeviceType { return c.dev.Type() }

// Offered is the set of features the driver may choose from.
func (c *Core) Offered() Features { return c.dev.Features() | ringFeatures }

// DriverFeatures is what the driver chose so far.
func (c *Core) DriverFeatures() Features {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.driver
}

// SetDriverFeatures stores bits 32*half.. of the driver's choice. It counts between DRIVER and FEATURES_OK only.
func (c *Core) SetDriverFeatures(half uint32, v uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if half > 1 || !c.status.Has(StatusDriver) || c.status.Has(StatusFeaturesOK) || c.reset != nil {
		return
	}
	shift := 32 * half
	c.driver = c.driver&^(0xffffffff<<shift) | Features(v)<<shift
}

// Status is the device status. It reads 0 only when a reset is complete.
func (c *Core) Status() Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.status
}

// ConfigGeneration changes whenever the device says that its configuration space changed [VIRTIO §2.5].
func (c *Core) ConfigGeneration() uint8 { return uint8(c.gen.Load()) }

// ReadConfig and WriteConfig access the device configuration space.
func (c *Core) ReadConfig(off uint32, p []byte) { c.dev.ReadConfig(off, p) }

// WriteConfig stores to the device configuration space, in any state: a console takes emergency output from a driver that
// has not even acknowledged it [VIRTIO §5.3.4].
func (c *Core) WriteConfig(off uint32, p []byte) { c.dev.WriteConfig(off, p) }

// SetStatus is the driver's write to the status field. Writing 0 starts a reset. Bits cannot be taken back, and each
// needs those before it [VIRTIO §3.1.1]; DEVICE_NEEDS_RESET is not the driver's.
func (c *Core) SetStatus(v Status) {
	if v == 0 {
		c.waitBriefly(c.startReset())
		return
	}
	c.mu.Lock()
	if c.reset != nil || c.closed || c.status&^v&^StatusNeedsReset != 0 {
		c.mu.Unlock()
		return
	}
	start := c.raiseStatus(v)
	c.mu.Unlock()
	if start {
		c.start()
	}
}

// raiseStatus sets the bits of v in the order the spec wants them, as far as they are allowed, and reports whether
// the device must start. mu is held.
func (c *Core) raiseStatus(v Status) (start bool) {
	add := v &^ c.status
	if add.Has(StatusAcknowledge) {
		c.status |= StatusAcknowledge
	}
	if add.Has(StatusDriver) && c.status.Has(StatusAcknowledge) {
		c.status |= StatusDriver
	}
	if add.Has(StatusFeaturesOK) && c.status.Has(StatusDriver) && c.acceptable(c.driver) {
		c.status |= StatusFeaturesOK
	}
	if add.Has(StatusFailed) {
		c.status |= StatusFailed
	}
	if add.Has(StatusDriverOK) && c.status.Has(StatusFeaturesOK) && c.status&(StatusFailed|StatusNeedsReset) == 0 {
		c.status |= StatusDriverOK
		c.life = lifeStarting
		start = true
	}
	return start
}

// acceptable reports whether a driver may work with the features f. Drivers without VIRTIO_F_VERSION_1 speak the legacy
// interface, which we do not [VIRTIO §6.2].
func (c *Core) acceptable(f Features) bool {
	return f&^c.Offered() == 0 && f.Has(FeatureVersion1)
}

// Queues is the number of queues the device has.
func (c *Core) Queues() int { return len(c.sizes) }

// Queue returns the configuration of queue i, all zero beyond the last: size 0 is how a transport says "no such queue".
func (c *Core) Queue(i int) QueueConfig {
	c.mu.Lock()
	defer c.mu.Unlock()
	if i < 0 || i >= len(c.queues) {
		return QueueConfig{}
	}
	return c.queues[i]
}

// SetQueue lets set change the configuration of queue i, if it may be changed now: after FEATURES_OK, before
// DRIVER_OK, and before the queue was enabled. A size that is no power of two or too great is not taken over. A live
// queue never changes: whatever is written later acts on nothing.
func (c *Core) SetQueue(i int, set func(*QueueConfig)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if i < 0 || i >= len(c.queues) || c.queues[i].Enabled || c.reset != nil ||
		c.status&(StatusFeaturesOK|StatusDriverOK|StatusFailed|StatusNeedsReset) != StatusFeaturesOK {
		return
	}
	cfg := c.queues[i]
	set(&cfg)
	if !validSize(cfg.Size) || cfg.Size > c.sizes[i] {
		cfg.Size = c.queues[i].Size
	}
	c.queues[i] = cfg
}

// Doorbell is what a notification of queue i rings. It is the same from NewCore to Close, so that a transport can let
// guest stores ring it directly; nil beyond the last queue.
func (c *Core) Doorbell(i int) devices.Doorbell {
	if i < 0 || i >= len(c.bells) {
		return nil
	}
	return c.bells[i]
}

// Notify is the driver's notification of queue i [VIRTIO §4.1.5.2]. Numbers without a queue are ignored.
func (c *Core) Notify(i int) {
	if b := c.Doorbell(i); b != nil {
		b.Ring()
	}
}

// Counters are those of queue i since DRIVER_OK; all zero while it is not live.
func (c *Core) Counters(i int) QueueCounters {
	c.mu.Lock()
	defer c.mu.Unlock()
	if i < 0 || i >= len(c.live) || c.live[i] == nil {
		return QueueCounters{}
	}
	return c.live[i].Counters()
}

// Failure is why the device needs a reset, nil if it does not.
func (c *Core) Failure() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.failure
}

// waitBriefly waits for a reset, but no longer than a vCPU may be held.
func (c *Core) waitBriefly(done <-chan struct{}) {
	if done == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), resetGrace)
	defer cancel()
	select {
	case <-done:
	case <-ctx.Done():
	}
}
