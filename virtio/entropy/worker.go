package entropy

import (
	"fmt"
	"io"

	"github.com/husk-vm/husk/virtio"
)

// maxRequest bounds what one request is given, whatever its buffer's length: a guest could otherwise make the host
// compute random numbers for minutes with one descriptor. Linux asks for 64 bytes at a time; filling less than the
// buffer is allowed [VIRTIO §5.4.6.2].
const maxRequest = 64 << 10

// worker serves the queue.
type worker struct {
	d    *Device
	q    *virtio.Queue
	fail func(error)
	// buf stands between the source and the guest, who could read and change a generator's output while it is made.
	buf [4096]byte
}

// run serves the queue until it closes or breaks.
func (w *worker) run(q *virtio.Queue) {
	for q.Wait() {
		if err := w.batch(); err != nil {
			w.fail(err)
			return
		}
	}
}

// batch serves what is in the queue and publishes the results together.
func (w *worker) batch() error {
	defer w.q.Flush()
	for {
		c, err := w.q.Pop()
		if err != nil {
			w.d.broken.Add(1)
			return err
		}
		if c == nil {
			return nil
		}
		if err := w.serve(c); err != nil {
			return err
		}
	}
}

// serve fills the chain, up to maxRequest bytes, and gives it back.
func (w *worker) serve(c *virtio.Chain) error {
	if c.Readable() != 0 || c.Writable() == 0 { // [VIRTIO §5.4.6.1]
		w.d.broken.Add(1)
		return &virtio.GuestError{Op: "entropy request", Cause: "not a buffer to fill"}
	}
	defer clear(w.buf[:]) // the guest's secrets are not ours to keep
	want := min(c.Writable(), maxRequest)
	for done := uint64(0); done < want; {
		p := w.buf[:min(want-done, uint64(len(w.buf)))]
		if _, err := io.ReadFull(w.d.source, p); err != nil {
			w.d.errors.Add(1)
			return fmt.Errorf("entropy: read source: %w", err)
		}
		if err := c.WriteAt(p, done); err != nil {
			w.d.broken.Add(1)
			return err
		}
		done += uint64(len(p))
	}
	w.d.requests.Add(1)
	w.d.bytes.Add(want)
	c.Release(uint32(want))
	return nil
}
