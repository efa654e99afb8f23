package virtio_test

import (
	"sync/atomic"

	"github.com/husk-vm/husk/virtio"
)

// echo is the simplest device: it copies what is readable into what is writable.
type echo struct {
	sizes   []uint16
	start   error                     // what Start returns
	begin   func(a virtio.Activation) // what Start does first
	handle  func(c *virtio.Chain) (uint32, error)
	workers virtio.Workers
	a       virtio.Activation
	running atomic.Int32 // Start minus Stop
}

func (e *echo) Type() virtio.DeviceType   { return 42 }
func (e *echo) Features() virtio.Features { return 1 << 3 }
func (e *echo) QueueSizes() []uint16 {
	if e.sizes == nil {
		return []uint16{8}
	}
	return e.sizes
}

func (e *echo) ReadConfig(off uint32, p []byte) {
	for i := range p {
		p[i] = 0
		if off < 8 && int(off)+i < 8 {
			p[i] = byte(off) + byte(i)
		}
	}
}
func (e *echo) WriteConfig(uint32, []byte) {}

func (e *echo) Start(a virtio.Activation) error {
	if e.begin != nil {
		e.begin(a)
	}
	if e.start != nil {
		return e.start
	}
	if e.running.Add(1) != 1 {
		panic("BUG: started twice")
	}
	e.a = a
	handle := e.handle
	if handle == nil {
		handle = echoChain
	}
	for _, q := range a.Queues {
		if q != nil {
			e.workers.Go(q, a.Fail, func(q *virtio.Queue) { virtio.Serve(q, a.Fail, handle) })
		}
	}
	return nil
}

func (e *echo) Stop() {
	e.workers.Wait()
	e.running.Store(0)
}

func echoChain(c *virtio.Chain) (uint32, error) {
	n := min(c.Readable(), c.Writable())
	err := c.WithReadable(0, n, func(in [][]byte) error {
		off := uint64(0)
		for _, p := range in {
			if err := c.WriteAt(p, off); err != nil {
				return err
			}
			off += uint64(len(p))
		}
		return nil
	})
	return uint32(n), err
}
