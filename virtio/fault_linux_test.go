package virtio_test

import (
	"errors"
	"syscall"
	"testing"

	"github.com/husk-vm/husk/internal/guestmem"
	"github.com/husk-vm/husk/virtio"
	"github.com/husk-vm/husk/virtio/virtiotest"
)

// TestFaultOnRAM takes pages away under a request, as a truncated file or an empty pool of huge pages does: the device
// asks for a reset, the process lives, and the lease is given back.
func TestFaultOnRAM(t *testing.T) {
	dev := &echo{handle: func(c *virtio.Chain) (uint32, error) {
		return 1, c.WithWritable(0, c.Writable(), func(bufs [][]byte) error {
			bufs[0][0] = 1
			return nil
		})
	}}
	d := virtiotest.Start(t, dev, virtiotest.Options{})
	const page = ram - 0x10000
	r, err := d.Mem.Range(page, 0x1000)
	if err != nil {
		t.Fatal(err)
	}
	protect := func(prot int) {
		t.Helper()
		if err := r.With(guestmem.ReadOnly, func(p []byte) error { return syscall.Mprotect(p, prot) }); err != nil {
			t.Fatal(err)
		}
	}
	protect(syscall.PROT_NONE)
	d.Queue(0).SetDesc(0, virtiotest.Desc{Addr: page, Len: 16, Flags: fW})
	d.Queue(0).PostRaw(0, 16)
	d.Transport.Notify(0)
	d.NeedsReset()
	var guest *virtio.GuestError
	if err := coreOf(d).Failure(); !errors.As(err, &guest) {
		t.Errorf("failure %v", err)
	}
	if err := coreOf(d).Pause(t.Context()); err != nil { // a queue without a worker is at rest
		t.Error(err)
	}
	coreOf(d).Resume()
	protect(syscall.PROT_READ | syscall.PROT_WRITE)
	d.Negotiate(0)
	d.SetupQueue(0, 8)
	d.DriverOK()
	d.Queue(0).SetDesc(0, virtiotest.Desc{Addr: page, Len: 16, Flags: fW})
	d.Queue(0).PostRaw(0, 16)
	d.Transport.Notify(0)
	if r := d.Queue(0).Wait(); r.Written != 1 {
		t.Errorf("%+v", r)
	}
}
