package virtio_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/husk-vm/husk/devices"
	"github.com/husk-vm/husk/internal/guestmem"
	"github.com/husk-vm/husk/virtio"
	"github.com/husk-vm/husk/virtio/virtiotest"
)

const (
	sACK  = virtio.StatusAcknowledge
	sDRV  = virtio.StatusDriver
	sFOK  = virtio.StatusFeaturesOK
	sOK   = virtio.StatusDriverOK
	sFAIL = virtio.StatusFailed
	sRST  = virtio.StatusNeedsReset
)

func newCore(t testing.TB, dev virtio.Device) (*virtio.Core, *virtiotest.Interrupts) {
	t.Helper()
	intr := &virtiotest.Interrupts{}
	c, err := virtio.NewCore(dev, virtiotest.Host(t, 0), intr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c, intr
}

func coreOf(d *virtiotest.Driver) *virtio.Core { return d.Transport.(*virtiotest.DirectTransport).Core }

// TestStatus writes sequences to the status field and reads it back after each.
func TestStatus(t *testing.T) {
	const all = virtio.FeatureVersion1 | virtio.FeatureEventIdx | virtio.FeatureIndirectDesc | 1<<3
	for _, tt := range []struct {
		name     string
		features virtio.Features
		writes   []virtio.Status
		want     []virtio.Status
	}{
		{"as the spec says", all, []virtio.Status{sACK, sACK | sDRV, sACK | sDRV | sFOK, sACK | sDRV | sFOK | sOK}, nil},
		{"two bits at once", all, []virtio.Status{sACK | sDRV, sACK | sDRV | sFOK | sOK}, nil},
		{"driver before acknowledge", all, []virtio.Status{sDRV, sACK | sDRV}, []virtio.Status{0, sACK | sDRV}},
		{"driver ok before features ok", all, []virtio.Status{sACK | sDRV, sACK | sDRV | sOK}, []virtio.Status{sACK | sDRV, sACK | sDRV}},
		{"no version 1", 1 << 3, []virtio.Status{sACK | sDRV, sACK | sDRV | sFOK}, []virtio.Status{sACK | sDRV, sACK | sDRV}},
		{"features not offered", all | 1<<4, []virtio.Status{sACK | sDRV, sACK | sDRV | sFOK}, []virtio.Status{sACK | sDRV, sACK | sDRV}},
		{"access platform", all | virtio.FeatureAccessPlatform, []virtio.Status{sACK | sDRV, sACK | sDRV | sFOK}, []virtio.Status{sACK | sDRV, sACK | sDRV}},
		{"packed ring", all | virtio.FeatureRingPacked, []virtio.Status{sACK | sDRV, sACK | sDRV | sFOK}, []virtio.Status{sACK | sDRV, sACK | sDRV}},
		{"bits cannot be taken back", all, []virtio.Status{sACK | sDRV, sACK, sACK | sDRV | sFOK, sACK | sDRV}, []virtio.Status{sACK | sDRV, sACK | sDRV, sACK | sDRV | sFOK, sACK | sDRV | sFOK}},
		{"failed", all, []virtio.Status{sACK | sDRV | sFOK, sACK | sDRV | sFAIL, sACK | sDRV | sFAIL | sFOK}, []virtio.Status{sACK | sDRV, sACK | sDRV | sFAIL, sACK | sDRV | sFAIL | sFOK}},
		{"failed, then driver ok", all, []virtio.Status{sACK | sDRV, sACK | sDRV | sFAIL, sACK | sDRV | sFAIL | sFOK, sACK | sDRV | sFAIL | sFOK | sOK}, []virtio.Status{sACK | sDRV, sACK | sDRV | sFAIL, sACK | sDRV | sFAIL | sFOK, sACK | sDRV | sFAIL | sFOK}},
		{"needs reset is not the driver's", all, []virtio.Status{sACK | sRST}, []virtio.Status{sACK}},
		{"reserved bits", all, []virtio.Status{sACK | 0x30}, []virtio.Status{sACK}},
		{"reset", all, []virtio.Status{sACK | sDRV, 0, sACK}, []virtio.Status{sACK | sDRV, 0, sACK}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dev := &echo{}
			c, _ := newCore(t, dev)
			for i, w := range tt.writes {
				c.SetStatus(w)
				c.SetDriverFeatures(0, uint32(tt.features)) // counts once DRIVER is set
				c.SetDriverFeatures(1, uint32(tt.features>>32))
				want := w
				if tt.want != nil {
					want = tt.want[i]
				}
				if got := c.Status(); got != want {
					t.Fatalf("write %d, %#x: status %#x, want %#x", i, w, got, want)
				}
			}
			if running := dev.running.Load() == 1; running != c.Status().Has(sOK) {
				t.Errorf("status %#x, device running: %v", c.Status(), running)
			}
		})
	}
}

// TestFeaturesAreFrozen: after FEATURES_OK the driver's choice stays, and before DRIVER it does not count.
func TestFeaturesAreFrozen(t *testing.T) {
	c, _ := newCore(t, &echo{})
	c.SetDriverFeatures(0, 1)
	if c.DriverFeatures() != 0 {
		t.Error("features before DRIVER")
	}
	c.SetStatus(sACK | sDRV)
	c.SetDriverFeatures(1, 1)
	c.SetDriverFeatures(2, 0xffffffff)
	c.SetDriverFeatures(0xffffffff, 0xffffffff)
	c.SetStatus(sACK | sDRV | sFOK)
	c.SetDriverFeatures(0, 8)
	if f := c.DriverFeatures(); f != virtio.FeatureVersion1 || !c.Status().Has(sFOK) {
		t.Errorf("features %#x, status %#x", uint64(f), c.Status())
	}
}

// TestQueueConfigMatrix writes poison to a queue's configuration in every device state. Only between FEATURES_OK and
// DRIVER_OK, and before the queue is enabled, does it arrive (CVE-2026-5747: a size written after DRIVER_OK).
func TestQueueConfigMatrix(t *testing.T) {
	poison := virtio.QueueConfig{Size: 2, Desc: 0xdead0, Avail: 0xbeef0, Used: 0xf00d0}
	for s := range 256 {
		for _, enabled := range []bool{false, true} {
			c, _ := newCore(t, &echo{})
			want := virtio.Status(s)
			c.SetStatus(want & (sACK | sDRV))
			c.SetDriverFeatures(1, 1)
			for _, bit := range []virtio.Status{sFOK, sFAIL} {
				if want.Has(bit) {
					c.SetStatus(c.Status() | bit)
				}
			}
			if enabled {
				c.SetQueue(0, func(q *virtio.QueueConfig) {
					*q = virtio.QueueConfig{Size: 8, Desc: 0x1000, Avail: 0x2000, Used: 0x3000, Enabled: true}
				})
			}
			if want.Has(sOK) {
				c.SetStatus(c.Status() | sOK)
			}
			before, status := c.Queue(0), c.Status()
			c.SetQueue(0, func(q *virtio.QueueConfig) { *q = poison })
			after := c.Queue(0)
			open := status&(sACK|sDRV|sFOK|sOK|sFAIL) == sACK|sDRV|sFOK && !before.Enabled
			if open != (after == poison) || !open && after != before {
				t.Errorf("status %#x, enabled %v: %+v became %+v", status, before.Enabled, before, after)
			}
		}
	}
}

func TestQueueSizes(t *testing.T) {
	c, _ := newCore(t, &echo{sizes: []uint16{8, 32768}})
	c.SetStatus(sACK | sDRV)
	c.SetDriverFeatures(1, 1)
	c.SetStatus(sACK | sDRV | sFOK)
	for i, most := range []uint16{8, 32768} {
		for n := range 1 << 16 {
			before := c.Queue(i).Size
			c.SetQueue(i, func(q *virtio.QueueConfig) { q.Size = uint16(n) })
			ok := n != 0 && n&(n-1) == 0 && n <= int(most)
			if got := c.Queue(i).Size; ok && got != uint16(n) || !ok && got != before {
				t.Fatalf("queue %d, size %d: %d", i, n, got)
			}
		}
	}
	for _, i := range []int{-1, 2, 1 << 30} {
		c.SetQueue(i, func(*virtio.QueueConfig) { t.Error("called") })
		if c.Queue(i) != (virtio.QueueConfig{}) || c.Doorbell(i) != nil {
			t.Errorf("queue %d exists", i)
		}
		c.Notify(i)
	}
}

// TestRingPlaces: rings must be aligned and in RAM. A driver that gets it wrong must reset; the device never starts.
func TestRingPlaces(t *testing.T) {
	const end = ram
	good := virtio.QueueConfig{Size: 8, Desc: 0x1000, Avail: 0x2000, Used: 0x3000, Enabled: true}
	for _, tt := range []struct {
		name string
		set  func(*virtio.QueueConfig)
		ok   bool
	}{
		{"good", func(*virtio.QueueConfig) {}, true},
		{"at the end of RAM", func(q *virtio.QueueConfig) { q.Desc, q.Avail, q.Used = end-128, end-22, end-72 }, true},
		{"all in one place", func(q *virtio.QueueConfig) { q.Desc, q.Avail, q.Used = 0, 0, 0 }, true},
		{"descriptors not on 16", func(q *virtio.QueueConfig) { q.Desc += 8 }, false},
		{"available ring not on 2", func(q *virtio.QueueConfig) { q.Avail++ }, false},
		{"available ring on 2", func(q *virtio.QueueConfig) { q.Avail += 2 }, true},
		{"used ring not on 4", func(q *virtio.QueueConfig) { q.Used += 2 }, false},
		{"descriptors beyond RAM", func(q *virtio.QueueConfig) { q.Desc = end - 112 }, false},
		{"available ring beyond RAM", func(q *virtio.QueueConfig) { q.Avail = end - 20 }, false},
		{"used ring beyond RAM", func(q *virtio.QueueConfig) { q.Used = end - 68 }, false},
		{"outside of RAM", func(q *virtio.QueueConfig) { q.Used = 0xfee00000 }, false},
		{"at the end of addresses", func(q *virtio.QueueConfig) { q.Desc = ^guestmem.GPA(0) - 15 }, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dev := &echo{}
			c, intr := newCore(t, dev)
			c.SetStatus(sACK | sDRV)
			c.SetDriverFeatures(1, 1)
			c.SetStatus(sACK | sDRV | sFOK)
			c.SetQueue(0, func(q *virtio.QueueConfig) { *q = good; tt.set(q) })
			c.SetStatus(sACK | sDRV | sFOK | sOK)
			var guest *virtio.GuestError
			if tt.ok {
				if dev.running.Load() != 1 || c.Failure() != nil {
					t.Errorf("not running: %v", c.Failure())
				}
				return
			}
			if dev.running.Load() != 0 || !c.Status().Has(sRST) || !errors.As(c.Failure(), &guest) {
				t.Errorf("status %#x, running %d, failure %v", c.Status(), dev.running.Load(), c.Failure())
			}
			select {
			case <-intr.Config():
			default:
				t.Error("no configuration interrupt")
			}
			c.SetStatus(0)
			if c.Status() != 0 || c.Failure() != nil {
				t.Errorf("after reset: status %#x, failure %v", c.Status(), c.Failure())
			}
		})
	}
}

func TestStartFails(t *testing.T) {
	dev := &echo{start: errors.New("no disk")}
	d := virtiotest.New(t, dev, virtiotest.Options{})
	for range 3 {
		d.Negotiate(0)
		d.SetupQueue(0, 8)
		d.Transport.SetStatus(sACK | sDRV | sFOK | sOK)
		d.NeedsReset()
	}
	dev.start = nil
	d.Negotiate(0)
	d.SetupQueue(0, 8)
	d.DriverOK()
	if r := d.Queue(0).Do(virtiotest.Out([]byte("a")), virtiotest.In(1)); string(r.Bytes()) != "a" {
		t.Errorf("%q", r.Bytes())
	}
}

// TestResetDuringStart: another vCPU resets the device while Start is under way, and Start itself calls Fail. Neither
// waits for the other for ever, and the reset wins.
func TestResetDuringStart(t *testing.T) {
	virtiotest.NoLeak(t)
	starting, leave := make(chan struct{}), make(chan struct{})
	dev := &echo{begin: func(a virtio.Activation) {
		a.Fail(errors.New("early"))
		a.ConfigChanged()
		close(starting)
		<-leave
	}}
	d := virtiotest.New(t, dev, virtiotest.Options{})
	d.Negotiate(0)
	d.SetupQueue(0, 8)
	core := coreOf(d)
	started := make(chan struct{})
	go func() {
		core.SetStatus(sACK | sDRV | sFOK | sOK)
		close(started)
	}()
	<-starting
	core.SetStatus(0)
	if s := core.Status(); s != sACK|sDRV|sFOK|sOK|sRST {
		t.Errorf("status %#x while the device starts", s)
	}
	close(leave)
	<-started
	if err := core.Reset(t.Context()); err != nil {
		t.Fatal(err)
	}
	if core.Status() != 0 || dev.running.Load() != 0 || core.Failure() != nil {
		t.Errorf("status %#x, running %d, failure %v", core.Status(), dev.running.Load(), core.Failure())
	}
}

// TestFailuresAreLoggedRarely: a guest that breaks its rings again and again does not fill the log.
func TestFailuresAreLoggedRarely(t *testing.T) {
	var log bytes.Buffer
	host := virtiotest.Host(t, 0)
	host.Log = slog.New(slog.NewTextHandler(&log, nil))
	d := virtiotest.New(t, &echo{start: errors.New("no disk")}, virtiotest.Options{Host: host})
	for range 100 {
		d.Negotiate(0)
		d.SetupQueue(0, 2)
		d.Transport.SetStatus(sACK | sDRV | sFOK | sOK)
		d.NeedsReset()
	}
	if n := strings.Count(log.String(), "no disk"); n != 7 { // 1, 2, 4, ... 64
		t.Errorf("%d lines:\n%s", n, log.String())
	}
}

// TestBrokenRingNeedsReset: one bad chain stops the queue and asks for a reset; after it everything works again.
func TestBrokenRingNeedsReset(t *testing.T) {
	dev := &echo{sizes: []uint16{4, 4}}
	d := virtiotest.Start(t, dev, virtiotest.Options{})
	d.Queue(0).PostHead(77)
	d.Transport.Notify(0)
	d.NeedsReset()
	r := d.Queue(1).Do(virtiotest.Out([]byte("b")), virtiotest.In(1)) // another queue goes on
	if string(r.Bytes()) != "b" {
		t.Errorf("%q", r.Bytes())
	}
	d.Negotiate(0)
	d.SetupQueue(0, 4)
	d.SetupQueue(1, 4)
	d.DriverOK()
	if r := d.Queue(0).Do(virtiotest.Out([]byte("a")), virtiotest.In(1)); string(r.Bytes()) != "a" {
		t.Errorf("%q", r.Bytes())
	}
}

// TestDisabledQueue: a driver need not use every queue.
func TestDisabledQueue(t *testing.T) {
	p := &probe{sizes: []uint16{4, 4, 4}}
	d := virtiotest.New(t, p, virtiotest.Options{})
	d.Negotiate(0)
	d.SetupQueue(1, 4)
	d.DriverOK()
	if q := p.a.Queues; len(q) != 3 || q[0] != nil || q[1] == nil || q[2] != nil {
		t.Errorf("queues %v", q)
	}
}

// slow is an echo whose requests wait for a permission.
func slow() (*echo, chan struct{}, chan struct{}) {
	entered, leave := make(chan struct{}), make(chan struct{})
	return &echo{handle: func(c *virtio.Chain) (uint32, error) {
		entered <- struct{}{}
		<-leave
		return echoChain(c)
	}}, entered, leave
}

// TestResetWaitsForRequests: while a request is under way the status does not read 0, and no guest memory changes
// after it does (CVE-2026-45782 was a completion after the reset).
func TestResetWaitsForRequests(t *testing.T) {
	virtiotest.NoLeak(t)
	dev, entered, leave := slow()
	d := virtiotest.Start(t, dev, virtiotest.Options{})
	core := coreOf(d)
	d.Queue(0).Add(virtiotest.Out([]byte("late")), virtiotest.In(4))
	d.Queue(0).Kick()
	<-entered
	core.SetStatus(0)
	if core.Status() == 0 {
		t.Error("reset is complete with a request under way")
	}
	core.SetStatus(sACK) // must not count
	core.SetStatus(0)    // nor start a second reset
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := core.Reset(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Reset: %v", err)
	}
	close(leave)
	if err := core.Reset(t.Context()); err != nil {
		t.Fatal(err)
	}
	if core.Status() != 0 {
		t.Errorf("status %#x", core.Status())
	}
	before := picture(t, d.Mem)
	core.Notify(0)
	dev.a.Queues[0].Wake()
	if picture(t, d.Mem) != before {
		t.Error("guest memory changed after the reset")
	}
}

// picture is a copy of all RAM.
func picture(t testing.TB, m *guestmem.Memory) string {
	t.Helper()
	n := m.Regions()[0].Size
	r, err := m.Range(0, n)
	if err != nil {
		t.Fatal(err)
	}
	p := make([]byte, n)
	if err := r.Read(0, p); err != nil {
		t.Fatal(err)
	}
	return string(p)
}

// TestPauseUnderLoad pauses a device in full flight again and again: RAM is still while it is paused, and no request is lost.
func TestPauseUnderLoad(t *testing.T) {
	host := virtiotest.Host(t, 1<<20)
	dev := &echo{sizes: []uint16{32}}
	d := virtiotest.Start(t, dev, virtiotest.Options{Host: host})
	core := coreOf(d)
	q := d.Queue(0)
	batch := q.Batch(16, true, virtiotest.Out(make([]byte, 64)), virtiotest.In(64))
	done := 0
	for i := range 200 {
		batch.Post()
		core.Notify(0)
		if i%2 == 0 {
			dev.a.Queues[0].Wake()
		}
		if err := core.Pause(t.Context()); err != nil {
			t.Fatal(err)
		}
		before := picture(t, d.Mem)
		core.Notify(0)
		dev.a.Queues[0].Wake()
		if picture(t, d.Mem) != before {
			t.Fatal("guest memory changed while paused")
		}
		done += batch.Take()
		core.Resume()
		for done < 16*(i+1) {
			<-d.Transport.Interrupt(0)
			done += batch.Take()
		}
	}
}

func TestPauseGivesUp(t *testing.T) {
	dev, entered, leave := slow()
	d := virtiotest.Start(t, dev, virtiotest.Options{})
	core := coreOf(d)
	d.Queue(0).Add(virtiotest.Out([]byte("a")), virtiotest.In(1))
	d.Queue(0).Kick()
	<-entered
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := core.Pause(ctx); !errors.Is(err, context.Canceled) {
		t.Fatalf("Pause: %v", err)
	}
	close(leave)
	if r := d.Queue(0).Wait(); string(r.Bytes()) != "a" { // it runs on
		t.Errorf("%q", r.Bytes())
	}
}

// TestHammer lets several vCPUs do everything at once; run it with -race.
func TestHammer(t *testing.T) {
	virtiotest.NoLeak(t)
	dev := &echo{sizes: []uint16{8, 8}}
	d := virtiotest.New(t, dev, virtiotest.Options{})
	core := coreOf(d)
	rounds := 300
	var wg sync.WaitGroup
	var stop atomic.Bool
	for range 3 {
		wg.Go(func() {
			for i := 0; !stop.Load(); i++ {
				core.Notify(i % 3)
				core.SetStatus(virtio.Status(i))
				core.SetQueue(i%2, func(q *virtio.QueueConfig) {
					q.Size, q.Desc, q.Avail, q.Used, q.Enabled = 8, 0x1000, 0x2000, 0x3000, true
				})
				core.SetDriverFeatures(uint32(i%3), 1)
				_, _, _, _ = core.Status(), core.Queue(0), core.Counters(1), core.Failure()
			}
		})
	}
	wg.Go(func() {
		for range rounds {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			if err := core.Pause(ctx); err != nil {
				t.Error(err)
			}
			core.Resume()
			cancel()
		}
		stop.Store(true)
	})
	wg.Wait()
	if err := core.Reset(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := dev.running.Load(); n != 0 {
		t.Errorf("device running %d times", n)
	}
}

// badBells fails after some doorbells.
type badBells struct {
	virtiotest.Doorbells
	left int
}

func (b *badBells) NewDoorbell() (devices.Doorbell, error) {
	if b.left--; b.left < 0 {
		return nil, errors.New("no more events")
	}
	return b.Doorbells.NewDoorbell()
}

func TestNewCoreErrors(t *testing.T) {
	host := virtiotest.Host(t, 0)
	for _, tt := range []struct {
		name string
		dev  virtio.Device
		bell int
	}{
		{"ring features", features(1 << 29), 9},
		{"size 0", &probe{sizes: []uint16{0}}, 9},
		{"size 3", &probe{sizes: []uint16{4, 3}}, 9},
		{"size 65535", &probe{sizes: []uint16{65535}}, 9},
		{"no doorbell", &probe{sizes: []uint16{4, 4}}, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			host.Doorbells = &badBells{left: tt.bell}
			if c, err := virtio.NewCore(tt.dev, host, &virtiotest.Interrupts{}); err == nil {
				t.Errorf("made %v", c)
			}
		})
	}
}

type features virtio.Features

func (f features) Features() virtio.Features   { return virtio.Features(f) }
func (features) Type() virtio.DeviceType       { return 1 }
func (features) QueueSizes() []uint16          { return nil }
func (features) ReadConfig(uint32, []byte)     {}
func (features) WriteConfig(uint32, []byte)    {}
func (features) Start(virtio.Activation) error { return nil }
func (features) Stop()                         {}

// TestConfigChanged: the driver is interrupted and sees another generation.
func TestConfigChanged(t *testing.T) {
	p := &probe{sizes: []uint16{4}}
	d := virtiotest.Start(t, p, virtiotest.Options{})
	core := coreOf(d)
	before := core.ConfigGeneration()
	p.a.ConfigChanged()
	<-d.Transport.ConfigInterrupt()
	if core.ConfigGeneration() == before {
		t.Error("same generation")
	}
	p.a.Fail(fmt.Errorf("first"))
	p.a.Fail(fmt.Errorf("second"))
	d.NeedsReset()
	if core.Failure().Error() != "first" {
		t.Errorf("failure %v", core.Failure())
	}
}

func TestState(t *testing.T) {
	p := &probe{sizes: []uint16{8, 4}}
	d := virtiotest.New(t, p, virtiotest.Options{})
	d.Negotiate(0)
	dq := d.SetupQueue(0, 8)
	d.DriverOK()
	core, q := coreOf(d), p.a.Queues[0]
	if _, err := core.State(); err == nil {
		t.Error("state of a running device")
	}
	for range 3 {
		dq.Add(virtiotest.In(1))
	}
	for i := range 2 {
		c, err := q.Pop()
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			c.Release(1)
		}
	}
	q.Flush()
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		for q.Wait() { // the third chain is available all the time
		}
	}()
	if err := core.Pause(t.Context()); err != nil {
		t.Fatal(err)
	}
	got, err := core.State()
	want := virtio.QueueState{Config: core.Queue(0), Next: 2, Used: 1, Held: 1}
	if err != nil || got.Status != sACK|sDRV|sFOK|sOK || got.Driver != d.Features || len(got.Queues) != 2 || got.Queues[0] != want {
		t.Errorf("%+v, %v, want queue %+v", got, err, want)
	}
	if got.Queues[1] != (virtio.QueueState{Config: virtio.QueueConfig{Size: 4}}) {
		t.Errorf("disabled queue: %+v", got.Queues[1])
	}
	core.Resume()
	d.Transport.SetStatus(0)
	<-stopped
}
