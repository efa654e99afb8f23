package entropy

import (
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	"github.com/husk-vm/husk/virtio"
)

// queueSize is enough for every driver: Linux has one request under way.
const queueSize = 64

// Device is a virtio entropy device [VIRTIO §5.4]. It implements [virtio.Device].
type Device struct {
	source  io.Reader
	started atomic.Bool
	workers virtio.Workers

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
	for _, q := range a.Queues {
		if q != nil {
			d.workers.Go(q, a.Fail, (&worker{d: d, q: q, fail: a.Fail}).run)
		}
	}
	return nil
}

// Stop waits for the worker to end, and with it for a read of the source under way.
func (d *Device) Stop() {
	d.workers.Wait()
	d.started.Store(false)
}

// Stats counts what a device did since it was made. Every field only grows.
type Stats struct {
	Requests uint64 // that got bytes
	Bytes    uint64 // handed out
	Errors   uint64 // of the source
	Broken   uint64 // times that misconduct of the driver ended the device
}

// Stats returns the counters. Any goroutine; the fields are not taken at one instant.
func (d *Device) Stats() Stats {
	return Stats{d.requests.Load(), d.bytes.Load(), d.errors.Load(), d.broken.Load()}
}

// State is what a device needs to go on elsewhere: nothing but its type. The queue is the core's to save, and a copied VM gets fresh bytes from its own source.
type State struct{}

// State returns the device's state. Any goroutine.
func (d *Device) State() State { return State{} }

// Restore makes a new device go on from s. Call it before Start.
func (d *Device) Restore(State) error { return nil }
