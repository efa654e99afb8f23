package virtiotest

import (
	"testing"
	"time"

	"github.com/husk-vm/husk/internal/guestmem"
	"github.com/husk-vm/husk/virtio"
)

// Options say how Start drives a device. The zero value takes everything the device offers.
type Options struct {
	Without    virtio.Features // features not to accept
	QueueSizes []uint16        // 0 or missing: the greatest
	Host       virtio.Host     // zero: Host(t, 0)
	Transport  Transport       // nil: Direct
}

// Driver is the driver of one device. It is for one goroutine, except that different queues may be used by different
// goroutines.
type Driver struct {
	Mem       *guestmem.Memory
	Transport Transport
	Features  virtio.Features // negotiated
	t         testing.TB
	queues    []*Queue
	heap      guestmem.GPA // first free byte of RAM
	end       guestmem.GPA
}

// Patience is how long the driver waits for a device before the test fails.
const Patience = 20 * time.Second

// Start negotiates with dev, sets up all its queues and sets DRIVER_OK. At the end of the test it stops the device.
func Start(t testing.TB, dev virtio.Device, o Options) *Driver {
	t.Helper()
	d := New(t, dev, o)
	d.Negotiate(o.Without)
	for i := range d.Transport.Queues() {
		size := d.Transport.QueueMax(i)
		if i < len(o.QueueSizes) && o.QueueSizes[i] != 0 {
			size = o.QueueSizes[i]
		}
		d.SetupQueue(i, size)
	}
	d.DriverOK()
	return d
}

// New makes a driver that has not touched the device yet.
func New(t testing.TB, dev virtio.Device, o Options) *Driver {
	t.Helper()
	if o.Host.Memory == nil {
		o.Host = Host(t, 0)
	}
	if o.Transport == nil {
		tr, err := Direct(dev, o.Host)
		if err != nil {
			t.Fatal(err)
		}
		o.Transport = tr
	}
	r := o.Host.Memory.Regions()[0]
	d := &Driver{
		Mem: o.Host.Memory, Transport: o.Transport, t: t,
		heap: r.Base + guestmem.PageSize, end: r.Base + guestmem.GPA(r.Size),
	}
	d.queues = make([]*Queue, d.Transport.Queues())
	t.Cleanup(func() {
		d.Check()
		if err := d.Transport.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// Negotiate resets the device and takes all its features but without [VIRTIO §3.1.1].
func (d *Driver) Negotiate(without virtio.Features) {
	d.t.Helper()
	d.Transport.SetStatus(0)
	if s := d.Transport.Status(); s != 0 {
		d.t.Fatalf("status %#x after reset", s)
	}
	s := virtio.StatusAcknowledge
	d.Transport.SetStatus(s)
	s |= virtio.StatusDriver
	d.Transport.SetStatus(s)
	d.Features = d.Transport.Offered() &^ without
	d.Transport.SetFeatures(d.Features)
	s |= virtio.StatusFeaturesOK
	d.Transport.SetStatus(s)
	if got := d.Transport.Status(); got != s {
		d.t.Fatalf("status %#x after negotiation, want %#x", got, s)
	}
}

// DriverOK lets the device work.
func (d *Driver) DriverOK() {
	d.t.Helper()
	s := virtio.StatusAcknowledge | virtio.StatusDriver | virtio.StatusFeaturesOK | virtio.StatusDriverOK
	d.Transport.SetStatus(s)
	if got := d.Transport.Status(); got != s {
		d.t.Fatalf("status %#x after DRIVER_OK, want %#x", got, s)
	}
}

// Queue is queue i, which was set up.
func (d *Driver) Queue(i int) *Queue { return d.queues[i] }

// Alloc takes n bytes of RAM for good. align is a power of two.
func (d *Driver) Alloc(n, align uint64) guestmem.Range {
	d.t.Helper()
	a := (d.heap + guestmem.GPA(align-1)) &^ guestmem.GPA(align-1)
	r, err := d.Mem.Range(a, n)
	if err != nil {
		d.t.Fatalf("virtiotest: out of guest memory: %v", err)
	}
	d.heap = a + guestmem.GPA(n)
	return r
}

// Check fails the test if a device broke a rule that can be seen from here.
func (d *Driver) Check() {
	d.t.Helper()
	for _, q := range d.queues {
		if q != nil {
			q.check()
		}
	}
}

// NeedsReset waits until the device asks for a reset, and fails the test if it does not.
func (d *Driver) NeedsReset() {
	d.t.Helper()
	timeout := time.After(Patience)
	for !d.Transport.Status().Has(virtio.StatusNeedsReset) {
		select {
		case <-d.Transport.ConfigInterrupt():
		case <-timeout:
			d.t.Fatalf("status %#x, want DEVICE_NEEDS_RESET", d.Transport.Status())
		}
	}
}

// Config reads n bytes of the device configuration space from off on.
func (d *Driver) Config(off uint32, n int) []byte {
	p := make([]byte, n)
	d.Transport.ReadConfig(off, p)
	return p
}

func gpa(a uint64) guestmem.GPA { return guestmem.GPA(a) }
