package virtio_test

import (
	"testing"

	"github.com/husk-vm/husk/virtio"
	"github.com/husk-vm/husk/virtio/virtiotest"
)

// probe is a device without workers: the test itself is the worker.
type probe struct {
	sizes []uint16
	a     virtio.Activation
	stops int
}

func (p *probe) Type() virtio.DeviceType    { return 42 }
func (p *probe) Features() virtio.Features  { return 0 }
func (p *probe) ReadConfig(uint32, []byte)  {}
func (p *probe) WriteConfig(uint32, []byte) {}
func (p *probe) Stop()                      { p.stops++ }

func (p *probe) QueueSizes() []uint16 { return p.sizes }

func (p *probe) Start(a virtio.Activation) error {
	p.a = a
	return nil
}

// startProbe returns both ends of one queue of a size.
func startProbe(t testing.TB, size uint16, without virtio.Features) (*virtio.Queue, *virtiotest.Queue, *virtiotest.Driver) {
	t.Helper()
	return startProbeMax(t, size, size, without)
}

// startProbeMax does the same where the device would have taken a greater size.
func startProbeMax(t testing.TB, size, most uint16, without virtio.Features) (*virtio.Queue, *virtiotest.Queue, *virtiotest.Driver) {
	t.Helper()
	p := &probe{sizes: []uint16{most}}
	d := virtiotest.Start(t, p, virtiotest.Options{QueueSizes: []uint16{size}, Without: without})
	return p.a.Queues[0], d.Queue(0), d
}
