package entropy

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"github.com/husk-vm/husk/virtio"
)

// queueSize is enough for every driver: Linux has one request under way.
const queueSize = 64

// Device is a virtio entropy device [VIRTIO §5.4]. It implements [virtio.Device].
type Device struct {
	source   io.Reader
	stopping atomic.Bool // the worker takes no further request
	started  atomic.Bool
	worker   sync.WaitGroup

	requests, bytes, errors, broken atomic.Uint64
}

var _ virtio.Device = (*Device)(nil)

// New returns a stopped device that hands out the bytes of source, such as crypto/rand.Reader. Only the device's worker
// reads it; a read that blocks holds up [Device.Stop]. An error ends the device, not the VM: the guest is never given
// bytes that source did not make.
func New(source io.Reader) (*Device, error) {
	if source == nil {
		return nil, errors.New("entropy: new: no source")
	}
	return &Device{source: source}, nil
}

// Type is virtio.TypeEntropy.
func (d *Device) Type() virtio.DeviceType { return virtio.TypeEntropy }

// Features is empty: the device has no bits of its own [VIRTIO §5.4.3].
func (d *Device) Features() virtio.Features { return 0 }

// QueueSizes is one queue [VIRTIO §5.4.2].
func (d *Device) QueueSizes() []uint16 { return []uint16{queueSize} }

// ReadConfig reads zeros: there is no configuration space [VIRTIO §5.4.4].
func (d *Device) ReadConfig(_ uint32, p []byte) { clear(p) }

// WriteConfig does nothing.
func (d *Device) WriteConfig(uint32, []byte) {}

// Start runs the worker.
func (d *Device) Start(a virtio.Activation) error {
	if len(a.Queues) > 1 {
		return fmt.Errorf("entropy: start: %d queues: the device has 1", len(a.Queues))
	}
	if d.started.Swap(true) {
		return errors.New("entropy: start: already started")
	}
	d.stopping.Store(false)
	for _, q := range a.Queues {
		if q != nil {
			d.worker.Go((&worker{d: d, q: q, fail: a.Fail}).run)
		}
	}
	return nil
}

// Stop ends the worker and waits for its read of the source, if one is under way.
func (d *Device) Stop() {
	d.stopping.Store(true)
	d.worker.Wait()
	d.started.Store(false)
}

// Stats counts what a device did since it was made. Every field only grows.
type Stats struct {
	Requests uint64 // that got bytes
	Bytes    uint64 // handed out
	Errors   uint64 // of the source
	Broken   uint64 // other ends of the device: misconduct of the driver, memory faults
}

// Stats returns the counters. Any goroutine; the fields are not taken at one instant.
func (d *Device) Stats() Stats {
	return Stats{d.requests.Load(), d.bytes.Load(), d.errors.Load(), d.broken.Load()}
}

// State is what a stopped device needs to go on elsewhere: nothing but its type. The queue is the transport's to save,
// and a copied VM gets fresh bytes from its own source.
type State struct{}

// State returns the device's state. Call it between Stop and Start.
func (d *Device) State() State { return State{} }

// Restore makes a new device go on from s. Call it before Start.
func (d *Device) Restore(State) error { return nil }
