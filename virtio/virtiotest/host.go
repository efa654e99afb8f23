package virtiotest

import (
	"sync"
	"testing"

	"github.com/husk-vm/husk/devices"
	"github.com/husk-vm/husk/internal/guestmem"
	"github.com/husk-vm/husk/virtio"
)

// Host returns what a machine gives to devices: ram bytes of RAM at address 0 (16 MiB if ram is 0) and doorbells made
// of channels. The RAM goes at the end of the test.
func Host(t testing.TB, ram uint64) virtio.Host {
	t.Helper()
	if ram == 0 {
		ram = 16 << 20
	}
	mem, err := guestmem.New([]guestmem.Region{{Base: 0, Size: ram}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := mem.Close(); err != nil {
			t.Error(err)
		}
	})
	return virtio.Host{Memory: mem, Doorbells: &Doorbells{}}
}

// Doorbells makes doorbells of channels. Attached ones are rung by Store, as a hypervisor would; the zero value is ready.
type Doorbells struct {
	// Unsupported makes Attach fail as on hosts without such a path. Set it before use.
	Unsupported error

	mu       sync.Mutex
	attached map[uint64]devices.Doorbell // guarded by mu
}

// NewDoorbell makes a doorbell.
func (b *Doorbells) NewDoorbell() (devices.Doorbell, error) {
	return &doorbell{c: make(chan struct{}, 1), closed: make(chan struct{})}, nil
}

// Attach makes Store to addr ring d.
func (b *Doorbells) Attach(d devices.Doorbell, addr uint64) (detach func() error, err error) {
	if b.Unsupported != nil {
		return nil, b.Unsupported
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.attached == nil {
		b.attached = map[uint64]devices.Doorbell{}
	}
	b.attached[addr] = d
	return func() error {
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.attached, addr)
		return nil
	}, nil
}

// Store is a guest's store to addr: it rings what is attached there, or returns false.
func (b *Doorbells) Store(addr uint64) bool {
	b.mu.Lock()
	d := b.attached[addr]
	b.mu.Unlock()
	if d == nil {
		return false
	}
	d.Ring()
	return true
}

// Attached returns the addresses that ring a doorbell.
func (b *Doorbells) Attached() []uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	var addrs []uint64
	for a := range b.attached {
		addrs = append(addrs, a)
	}
	return addrs
}

// doorbell implements devices.Doorbell.
type doorbell struct {
	c      chan struct{} // one slot
	closed chan struct{}
	once   sync.Once
}

func (d *doorbell) Ring() {
	select {
	case d.c <- struct{}{}:
	default:
	}
}

func (d *doorbell) Wait() bool {
	select {
	case <-d.closed:
		return false
	default:
	}
	select {
	case <-d.c:
		return true
	case <-d.closed:
		return false
	}
}

func (d *doorbell) Close() error {
	d.once.Do(func() { close(d.closed) })
	return nil
}
