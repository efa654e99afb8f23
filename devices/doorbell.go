package devices

import (
	"errors"
	"fmt"
	"sync"
)

// ChannelDoorbell is a Doorbell for hosts whose hypervisor has no events of its own. Make it with NewChannelDoorbell.
//
// Wait parks a goroutine, so waking a worker that is locked to a thread costs tens of microseconds; where the back end
// offers waitable events (an eventfd), use those.
type ChannelDoorbell struct {
	rung   chan struct{} // one slot: full means "set"
	closed chan struct{}
	once   sync.Once
}

// NewChannelDoorbell returns a doorbell that has not been rung.
func NewChannelDoorbell() *ChannelDoorbell {
	return &ChannelDoorbell{rung: make(chan struct{}, 1), closed: make(chan struct{})}
}

// Ring implements Doorbell.
func (d *ChannelDoorbell) Ring() {
	select {
	case d.rung <- struct{}{}:
	default: // already set: many rings count as one
	}
}

// Wait implements Doorbell.
func (d *ChannelDoorbell) Wait() bool {
	select {
	case <-d.closed: // first, because select picks at random when both are ready
		return false
	default:
	}
	select {
	case <-d.rung:
		return true
	case <-d.closed:
		return false
	}
}

// Close implements Doorbell. It always returns nil.
func (d *ChannelDoorbell) Close() error {
	d.once.Do(func() { close(d.closed) })
	return nil
}

// ChannelDoorbells is a Doorbells whose doorbells are rung by Device.Write only. The zero value is ready.
type ChannelDoorbells struct{}

// NewDoorbell implements Doorbells. Its error is always nil.
func (ChannelDoorbells) NewDoorbell() (Doorbell, error) { return NewChannelDoorbell(), nil }

// Attach implements Doorbells: it always refuses, so stores keep coming as Device.Write.
func (ChannelDoorbells) Attach(_ Doorbell, addr uint64) (func() error, error) {
	return nil, fmt.Errorf("attach doorbell to %#x: no host events: %w", addr, errors.ErrUnsupported)
}

var (
	_ Doorbell  = (*ChannelDoorbell)(nil)
	_ Doorbells = ChannelDoorbells{}
)
