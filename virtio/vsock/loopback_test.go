package vsock

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync"
	"testing"

	"github.com/husk-vm/husk/virtio"
)

const testCID = 3

// memChain stands for a chain, without rings: what fill writes and take reads.
type memChain struct{ b []byte }

func (m *memChain) ReadAt(p []byte, off uint64) error {
	if off > uint64(len(m.b)) || uint64(len(p)) > uint64(len(m.b))-off {
		return &virtio.GuestError{Op: "memChain", Cause: "short"}
	}
	copy(p, m.b[off:])
	return nil
}

func (m *memChain) WriteAt(p []byte, off uint64) error {
	if off > uint64(cap(m.b)) || uint64(len(p)) > uint64(cap(m.b))-off {
		return &virtio.GuestError{Op: "memChain", Cause: "short"}
	}
	m.b = m.b[:max(uint64(len(m.b)), off+uint64(len(p)))]
	copy(m.b[off:], p)
	return nil
}

// newTestDevice makes a device that takes part as if it was started, without queues and workers.
func newTestDevice(t testing.TB, cfg Config) *Device {
	t.Helper()
	if cfg.GuestCID == 0 {
		cfg.GuestCID = testCID
	}
	d, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	d.up()
	return d
}

// up does what Start does before it starts workers; down what Stop does after they ended.
func (d *Device) up() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sched.start()
	d.running = true
}

func (d *Device) down() {
	d.mu.Lock()
	d.running = false
	d.mu.Unlock()
	d.sched.stop()
	d.endAll(ErrReset)
}

// swapCIDs makes a packet that a device sends to its guest one that a guest sends.
func swapCIDs(b []byte) {
	src, dst := binary.LittleEndian.Uint64(b[0:]), binary.LittleEndian.Uint64(b[8:])
	binary.LittleEndian.PutUint64(b[0:], dst)
	binary.LittleEndian.PutUint64(b[8:], src)
}

// carry moves packets from one device to another, in buffers of size bytes, until from stops.
func carry(from, to *Device, size int) error {
	var (
		m = &memChain{b: make([]byte, 0, size)}
		p packet
		h header
	)
	for from.sched.wait() {
		m.b = m.b[:0]
		n, err := from.fill(m, uint64(size-headerSize), &p)
		if err != nil {
			return err
		}
		if n == 0 {
			continue
		}
		swapCIDs(m.b)
		if err := to.take(m, uint64(n), &h); err != nil {
			return err
		}
	}
	return nil
}

// loop is two devices back to back: each is the other's guest.
type loop struct {
	t    testing.TB
	a, b *Device
	wg   sync.WaitGroup
}

func backToBack(t testing.TB, cfg Config) *loop {
	t.Helper()
	l := &loop{t: t, a: newTestDevice(t, cfg), b: newTestDevice(t, cfg)}
	l.start()
	t.Cleanup(func() {
		l.stop()
		for _, d := range []*Device{l.a, l.b} {
			if n := d.Stats().Violations; n != 0 {
				t.Errorf("%d violations of the protocol between our own devices", n)
			}
		}
	})
	return l
}

func (l *loop) start() {
	l.a.up()
	l.b.up()
	l.wg.Go(func() { l.carry(l.a, l.b) })
	l.wg.Go(func() { l.carry(l.b, l.a) })
}

// stop is a reboot's first half: the workers end, then all connections.
func (l *loop) stop() {
	l.a.sched.stop()
	l.b.sched.stop()
	l.wg.Wait()
	l.a.down()
	l.b.down()
}

func (l *loop) carry(from, to *Device) {
	if err := carry(from, to, 4096); err != nil {
		l.t.Error(err)
	}
}

// pair makes a connection between two devices: c1 dialled, c2 was accepted.
func pair(a, b *Device, port uint32) (c1, c2 *Conn, err error) {
	l, err := b.Listen(port)
	if err != nil {
		return nil, nil, err
	}
	defer l.Close()
	if c1, err = a.Dial(context.Background(), port); err != nil {
		return nil, nil, err
	}
	c, err := l.Accept()
	if err != nil {
		return nil, nil, fmt.Errorf("accept: %w", err)
	}
	return c1, c.(*Conn), nil
}
