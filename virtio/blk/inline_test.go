package blk_test

import (
	"sync"

	"github.com/husk-vm/husk/devices"
)

// inline is a doorbell whose waiter, the device's worker, runs the driver: where it would sleep it takes the used
// requests and sends the next ones. With it a measurement has no wake-ups and no second thread in it, which cost more
// than all the rest and are not the device's.
type inline struct {
	ring   chan struct{} // one slot
	closed chan struct{}
	once   sync.Once

	// step is the driver's turn; it says whether it sent anything. Only the worker calls it: after a ring, and as long as
	// it says so.
	step    func() bool
	running bool // of the worker: step sent something
}

var _ devices.Doorbell = (*inline)(nil)

func (b *inline) Ring() {
	select {
	case b.ring <- struct{}{}:
	default:
	}
}

func (b *inline) Wait() bool {
	select {
	case <-b.closed:
		return false
	default:
	}
	if b.running = b.running && b.step(); b.running {
		return true
	}
	select {
	case <-b.ring:
		b.running = b.step()
		return true
	case <-b.closed:
		return false
	}
}

func (b *inline) Close() error {
	b.once.Do(func() { close(b.closed) })
	return nil
}

// inlineBells makes b the doorbell of every queue.
type inlineBells struct{ b *inline }

func (d inlineBells) NewDoorbell() (devices.Doorbell, error) { return d.b, nil }

func (d inlineBells) Attach(devices.Doorbell, uint64) (func() error, error) {
	return func() error { return nil }, nil
}
