package blk

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/husk-vm/husk/virtio"
)

// Device is a virtio block device [VIRTIO §5.2]. It implements [virtio.Device].
type Device struct {
	config   Config
	features virtio.Features

	// Capabilities of config.Backend, nil where it has none.
	readv   VectorReader
	writev  VectorWriter
	discard Discarder
	zero    Zeroer

	capacity  atomic.Uint64 // sectors
	writeBack atomic.Bool   // the writeback field: false makes every write stable before it completes
	stats     counters
	workers   virtio.Workers

	mu            sync.Mutex
	configChanged func() // guarded by mu; nil unless started
}

var _ virtio.Device = (*Device)(nil)

// New returns a stopped disk over c.Backend. Discard and write-zeroes are offered if the back end can do them and the
// disk is writable.
func New(c Config) (*Device, error) {
	c, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	d := &Device{config: c}
	d.features = featSegMax | featBlkSize | featFlush | featTopology | featConfigWCE
	if c.Queues > 1 {
		d.features |= featMQ
	}
	d.readv, _ = c.Backend.(VectorReader)
	if c.ReadOnly {
		d.features |= featRO
	} else {
		d.writev, _ = c.Backend.(VectorWriter)
		if d.discard, _ = c.Backend.(Discarder); d.discard != nil {
			d.features |= featDiscard
		}
		if d.zero, _ = c.Backend.(Zeroer); d.zero != nil {
			d.features |= featWriteZeroes
		}
	}
	d.writeBack.Store(true)
	d.capacity.Store(sectors(c.Backend))
	return d, nil
}

// Type is virtio.TypeBlock.
func (d *Device) Type() virtio.DeviceType { return virtio.TypeBlock }

// Features are the bits of [VIRTIO §5.2.3] that the device offers.
func (d *Device) Features() virtio.Features { return d.features }

// QueueSizes is Config.Queues times Config.QueueSize.
func (d *Device) QueueSizes() []uint16 {
	sizes := make([]uint16, d.config.Queues)
	for i := range sizes {
		sizes[i] = d.config.QueueSize
	}
	return sizes
}

// ReadConfig reads struct virtio_blk_config [VIRTIO §5.2.4].
func (d *Device) ReadConfig(off uint32, p []byte) {
	clear(p)
	if s := d.configSpace(); uint64(off) < uint64(len(s)) {
		copy(p, s[off:])
	}
}

// WriteConfig takes the writeback field, which a driver that negotiated VIRTIO_BLK_F_CONFIG_WCE may change, and drops
// the rest. Requests that begin after it returns follow the new mode.
func (d *Device) WriteConfig(off uint32, p []byte) {
	if off <= offWriteback && offWriteback-off < uint32(len(p)) {
		d.writeBack.Store(p[offWriteback-off] != 0)
	}
}

// Start runs a worker for every enabled queue.
func (d *Device) Start(a virtio.Activation) error {
	if len(a.Queues) > d.config.Queues {
		return fmt.Errorf("blk: start: %d queues: the device has %d", len(a.Queues), d.config.Queues)
	}
	d.mu.Lock()
	started := d.configChanged != nil
	if !started {
		d.configChanged = a.ConfigChanged
	}
	d.mu.Unlock()
	if started {
		return errors.New("blk: start: already started")
	}
	if a.Features.Has(featConfigWCE) && !a.Features.Has(featFlush) {
		d.writeBack.Store(false) // nobody could flush the cache [VIRTIO §5.2.5.2]
	}
	for _, q := range a.Queues {
		if q != nil {
			d.workers.Go(q, a.Fail, newWorker(d, q, a).run)
		}
	}
	return nil
}

// Stop waits for the workers to end, and with them for the request that each has under way, also if the back end blocks
// in it: its buffers are guest memory. Requests not yet begun stay in their queues. The writeback field goes back to
// its initial value.
func (d *Device) Stop() {
	d.workers.Wait()
	d.writeBack.Store(true)
	d.mu.Lock()
	d.configChanged = nil
	d.mu.Unlock()
}

// Resize reads the back end's size again and tells the driver if the capacity changed. Any goroutine. The caller makes
// the back end larger before, or smaller after, the guest uses what changes.
func (d *Device) Resize() {
	now := sectors(d.config.Backend)
	if d.capacity.Swap(now) == now {
		return
	}
	d.mu.Lock()
	changed := d.configChanged
	d.mu.Unlock()
	if changed != nil {
		changed()
	}
}

// sectors is the capacity that b gives a guest.
func sectors(b Backend) uint64 { return uint64(max(0, b.Size())) / SectorBytes }
