package virtio

import "fmt"

// Queue is one split virtqueue, seen from the device [VIRTIO §2.7]. One goroutine, its worker, calls its methods.
// Nothing here allocates after Start.
type Queue struct{}

// Size is the number of descriptors the driver chose.
func (q *Queue) Size() uint16 { panic("seam") }

// Pop takes the next available chain, or returns nil if there is none now. Up to Size chains may be held at once, and
// released in any order. A *GuestError means that the ring is broken: hand it to Activation.Fail and end the worker.
func (q *Queue) Pop() (*Chain, error) { panic("seam") }

// Wait publishes what was released, then blocks until a chain is available; false means stop. It asks the driver for
// notifications, looks again, and only then sleeps, so that none is lost [VIRTIO §2.7.10].
func (q *Queue) Wait() bool { panic("seam") }

// Flush publishes all chains released since the last Flush or Wait and interrupts the driver if it wants that.
func (q *Queue) Flush() { panic("seam") }

// Wake makes the present or next Wait return true even if no chain is available: a host-side event for a worker that
// also serves the host, as in console and vsock. Any goroutine; does not block.
func (q *Queue) Wake() { panic("seam") }

// Chain is one request: device-readable bytes first, then device-writable ones [VIRTIO §2.7.4.2]. All its ranges were
// checked by Pop. It is valid until Release and belongs to the queue's worker.
type Chain struct{}

// Readable and Writable are the lengths of the two parts, in bytes.
func (c *Chain) Readable() uint64 { panic("seam") }
func (c *Chain) Writable() uint64 { panic("seam") }

// ReadAt copies len(p) bytes out of the readable part from off on; a short part gives an error, a *GuestError.
func (c *Chain) ReadAt(p []byte, off uint64) error { panic("seam") }

// WriteAt copies p into the writable part from off on; a short part gives a *GuestError.
func (c *Chain) WriteAt(p []byte, off uint64) error { panic("seam") }

// WithReadable lends n bytes of the readable part from off on, as pieces of guest RAM; they die when fn returns.
func (c *Chain) WithReadable(off, n uint64, fn func(bufs [][]byte) error) error { panic("seam") }

// WithWritable lends n bytes of the writable part from off on and marks them dirty.
func (c *Chain) WithWritable(off, n uint64, fn func(bufs [][]byte) error) error { panic("seam") }

// Release gives the chain back to the driver, saying that the first written bytes of the writable part were filled.
// The driver sees it at the next Flush or Wait.
func (c *Chain) Release(written uint32) { panic("seam") }

// GuestError is misconduct of a guest driver: the device needs a reset, the VM lives on.
type GuestError struct {
	Op    string // what the device was doing, such as "descriptor chain"
	Cause string
}

func (e *GuestError) Error() string { return fmt.Sprintf("guest driver: %s: %s", e.Op, e.Cause) }
