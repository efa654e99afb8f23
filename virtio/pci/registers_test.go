package pci_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"testing"

	"github.com/husk-vm/husk/devices"
	"github.com/husk-vm/husk/virtio"
	"github.com/husk-vm/husk/virtio/virtiotest"
)

func get(d devices.Device, off uint64, n int) uint64 {
	var b [8]byte
	d.Read(off, b[:n])
	return binary.LittleEndian.Uint64(b[:])
}

func put(d devices.Device, off uint64, n int, v uint64) {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], v)
	d.Write(off, b[:n])
}

// Offsets in base address 0, as the capabilities of this implementation say; TestCapabilities pins them.
const (
	common = mem64
	isr    = mem64 + 0x1000
	config = mem64 + 0x2000
	notify = mem64 + 0x3000
)

// TestCapabilities pins the function's configuration space byte by byte.
func TestCapabilities(t *testing.T) {
	m := newMachine(t, &echo{queues: 2})
	defer m.close()
	for _, tt := range []struct {
		off  uint64
		want string
		what string
	}{
		{0x00, "f41a4410", "vendor, device 0x1040 + 4"},
		{0x08, "010000ff", "revision 1, class"},
		{0x10, "0c000000" + "01000000", "64-bit prefetchable base address"},
		{0x2c, "f41a0011", "subsystem"},
		{0x3c, "00000000", "no interrupt pin"},
		{0x40, "09501001" + "00000000" + "00000000" + "38000000", "common: page 0, 56 bytes"},
		{0x50, "09601003" + "00000000" + "00100000" + "01000000", "ISR: page 1, 1 byte"},
		{0x60, "09701004" + "00000000" + "00200000" + "00100000", "device: page 2"},
		{0x70, "09841402" + "00000000" + "00300000" + "08000000" + "04000000", "notify: page 3, two queues, multiplier 4"},
		{0x84, "09981405" + "00000000" + "00000000" + "00000000", "access window"},
		{0x98, "11000200" + "00400000" + "00500000", "msi-x: 3 vectors, pages 4 and 5"},
	} {
		got := make([]byte, len(tt.want)/2)
		m.ecam.Read(slot1+tt.off, got[:min(8, len(got))])
		for i := range got {
			m.ecam.Read(slot1+tt.off+uint64(i), got[i:i+1])
		}
		if fmt.Sprintf("%x", got) != tt.want {
			t.Errorf("%#x %s: %x, want %s", tt.off, tt.what, got, tt.want)
		}
	}
}

// TestRegisterMatrix writes every value that matters to every register in every width, in every device state. The
// device stands still in RAM and in its live queues, nothing panics, a live queue works afterwards as before
// (CVE-2026-5747), and what is no register reads as ones.
func TestRegisterMatrix(t *testing.T) {
	values := []uint64{0, 1, 2, 3, 7, 8, 0x7fff, 0x8000, 0xffff, 0xffffffff, 0x1000, ^uint64(0), 0xdeadbeefdeadbeef}
	for _, state := range []string{"reset", "acknowledged", "features ok", "queue enabled", "running", "needs reset"} {
		t.Run(state, func(t *testing.T) {
			dev := &echo{queues: 2}
			m := newMachine(t, dev)
			tr := m.transport(t)
			d := virtiotest.New(t, dev, virtiotest.Options{Host: m.host, Transport: tr})
			reach(d, state)
			live := state == "running"
			frozen := func() string {
				var s string
				for i := range uint64(2) {
					put(&m.bus, common+22, 2, i)
					var b [32]byte
					for j := range b {
						m.bus.Read(common+24+uint64(j), b[j:j+1])
					}
					s += fmt.Sprintf("%x%x ", b[0:2], b[4:]) // all but the vector, which may change at any time
				}
				return s
			}
			before := frozen()
			for off := uint64(0); off < 0x40; off++ {
				for _, n := range []int{1, 2, 4, 8} {
					for _, v := range values {
						if off == 20 && n == 1 && v&0xff == 0 {
							continue // a reset
						}
						put(&m.bus, common+off, n, v)
						get(&m.bus, common+off, n)
					}
				}
			}
			if live {
				if after := frozen(); after != before {
					t.Errorf("a live queue changed:\n%s, was\n%s", after, before)
				}
				put(&m.bus, common+16, 2, 0)
				for i := range 2 {
					put(&m.bus, common+22, 2, uint64(i))
					put(&m.bus, common+26, 2, uint64(i)+1)
					if r := d.Queue(i).Do(virtiotest.Out([]byte("alive")), virtiotest.In(5)); string(r.Bytes()) != "alive" {
						t.Errorf("queue %d: %q", i, r.Bytes())
					}
				}
			}
			for _, a := range []uint64{common + 0x38, common + 0xff8, isr + 1, isr + 0xff8, notify, notify + 0xff8, mem64 + 0x6000, mem64 + 0x7ff8} {
				if got := get(&m.bus, a, 8); got != ^uint64(0) {
					t.Errorf("%#x reads %#x", a, got)
				}
			}
			if got := get(&m.bus, common+0x36, 4); got>>16 != 0xffff {
				t.Errorf("across the end of the structure: %#x", got)
			}
			// Whatever happened, a reset brings the device back.
			d.Negotiate(0)
			d.SetupQueue(0, 8)
			d.DriverOK()
			if r := d.Queue(0).Do(virtiotest.Out([]byte("again")), virtiotest.In(5)); string(r.Bytes()) != "again" {
				t.Errorf("after reset: %q", r.Bytes())
			}
		})
	}
}

// reach brings a device into a state.
func reach(d *virtiotest.Driver, state string) {
	if state == "reset" {
		return
	}
	if state == "acknowledged" {
		d.Transport.SetStatus(virtio.StatusAcknowledge)
		return
	}
	d.Negotiate(0)
	if state == "features ok" {
		return
	}
	d.SetupQueue(0, 8)
	d.SetupQueue(1, 16)
	if state == "queue enabled" {
		return
	}
	d.DriverOK()
	if state == "needs reset" {
		d.Queue(0).PostHead(999)
		d.Transport.Notify(0)
		d.NeedsReset()
	}
}

// TestQueueSelect: numbers without a queue read as "no such queue" (size 0) and take nothing.
func TestQueueSelect(t *testing.T) {
	m := newMachine(t, &echo{queues: 2})
	defer m.close()
	m.transport(t)
	for _, sel := range []uint64{2, 3, 255, 256, 0x7fff, 0x8000, 0xffff} {
		put(&m.bus, common+22, 2, sel)
		put(&m.bus, common+24, 2, 4)
		put(&m.bus, common+26, 2, 1)
		put(&m.bus, common+28, 2, 1)
		put(&m.bus, common+32, 8, 0x1000)
		var b [32]byte
		m.bus.Read(common+22, b[:2])
		for i := range 32 {
			m.bus.Read(common+24+uint64(i), b[i:i+1])
		}
		if want := "0000ffff0000" + "0000" + "000000000000000000000000000000000000000000000000"; fmt.Sprintf("%x", b) != want {
			t.Errorf("queue %d: %x", sel, b)
		}
		if got := get(&m.bus, common+22, 2); got != sel {
			t.Errorf("queue_select %#x reads %#x", sel, got)
		}
	}
}

// TestFeatureSelect: two halves exist, others read 0.
func TestFeatureSelect(t *testing.T) {
	m := newMachine(t, &echo{})
	defer m.close()
	m.transport(t)
	for sel, want := range map[uint64]uint64{0: 1<<28 | 1<<29 | 1<<2, 1: 1 | 1<<18, 2: 0, 3: 0, 0xffffffff: 0} {
		put(&m.bus, common+0, 4, sel)
		if got := get(&m.bus, common+4, 4); got != want {
			t.Errorf("device_feature %d: %#x, want %#x", sel, got, want)
		}
		put(&m.bus, common+20, 1, 3)
		put(&m.bus, common+8, 4, sel)
		put(&m.bus, common+12, 4, 0x1234)
		if got := get(&m.bus, common+12, 4); sel < 2 && got != 0x1234 || sel >= 2 && got != 0 {
			t.Errorf("driver_feature %d: %#x", sel, got)
		}
	}
}

// TestVectors: a vector that exists reads back, another reads back as none, none is silent, a reset forgets them.
func TestVectors(t *testing.T) {
	dev := &echo{}
	m := newMachine(t, dev)
	d := m.start(t, dev)
	for v, want := range map[uint64]uint64{0: 0, 1: 1, 2: 0xffff, 0x7fff: 0xffff, 0xffff: 0xffff} {
		for _, reg := range []uint64{16, 26} {
			put(&m.bus, common+22, 2, 0)
			put(&m.bus, common+reg, 2, v)
			if got := get(&m.bus, common+reg, 2); got != want {
				t.Errorf("register %d, vector %#x: reads %#x", reg, v, got)
			}
		}
	}
	put(&m.bus, common+26, 2, 0xffff)
	d.Queue(0).Add(virtiotest.In(1))
	d.Queue(0).Kick()
	for get(&m.bus, isr, 1)&1 == 0 { // a driver without vectors polls
	}
	select {
	case <-d.Transport.Interrupt(0):
		t.Error("interrupt without a vector")
	default:
	}
	if _, ok := d.Queue(0).Take(); !ok {
		t.Error("not used")
	}
	if got := get(&m.bus, isr, 4); got != 0xffffff00 {
		t.Errorf("ISR after reading: %#x", got)
	}
	put(&m.bus, common+16, 2, 1)
	put(&m.bus, common+20, 1, 0)
	for get(&m.bus, common+20, 1) != 0 {
	}
	if get(&m.bus, common+16, 2) != 0xffff || get(&m.bus, common+26, 2) != 0xffff {
		t.Error("vectors survive a reset")
	}
}

// TestNotify: any width and value at a queue's address counts, other addresses do not.
func TestNotify(t *testing.T) {
	dev := &echo{queues: 2}
	m := newMachine(t, dev)
	m.bells.Unsupported = errors.ErrUnsupported
	d := m.start(t, dev)
	for _, n := range []int{1, 2, 4, 8} {
		d.Queue(1).Add(virtiotest.Out([]byte("x")), virtiotest.In(1))
		put(&m.bus, notify+4, n, ^uint64(0))
		d.Queue(1).Wait()
	}
	for _, off := range []uint64{1, 2, 3, 5, 8, 12, 0xffc, 0xfff} {
		put(&m.bus, notify+off, 2, 0)
	}
}

// TestWindow reaches the structures through configuration space, without decoding on: what firmware does.
func TestWindow(t *testing.T) {
	m := newMachine(t, &echo{})
	defer m.close()
	const w = slot1 + 0x84
	access := func(bar, off, n uint64) {
		put(m.ecam, w+4, 1, bar)
		put(m.ecam, w+8, 4, off)
		put(m.ecam, w+12, 4, n)
	}
	access(0, 0x2000, 4)
	if got := get(m.ecam, w+16, 4); got != 0x13121110 {
		t.Errorf("device configuration: %#x", got)
	}
	access(0, 0x2001, 1)
	if got := get(m.ecam, w+16, 1); got != 0x11 {
		t.Errorf("one byte: %#x", got)
	}
	access(0, 20, 1)
	put(m.ecam, w+16, 1, 3) // device_status
	if got := m.dev.Core().Status(); got != virtio.StatusAcknowledge|virtio.StatusDriver {
		t.Errorf("status %#x", got)
	}
	// Through the ports, as old firmware does.
	ports := m.root.Ports()
	put(ports, 0, 4, 1<<31|1<<11|0x84+16)
	if got := get(ports, 4, 1); got != 3 {
		t.Errorf("status through the ports: %#x", got)
	}
	for _, bad := range [][3]uint64{{0, 0x8000, 4}, {0, 0x7ffd, 4}, {0, 0x7fff, 2}, {0, 0xfffffffc, 4}, {1, 0, 4}, {6, 0, 4}, {255, 0, 4}, {0, 0, 0}, {0, 0, 3}, {0, 0, 8}, {0, 0, 0xffffffff}, {0, 0x2002, 4}, {0, 0x2001, 2}} {
		access(bad[0], bad[1], bad[2])
		if got := get(m.ecam, w+16, 4); got != 0xffffffff {
			t.Errorf("%#x: %#x", bad, got)
		}
		put(m.ecam, w+16, 4, 0)
	}
	if got := m.dev.Core().Status(); got != 3 {
		t.Errorf("status %#x after refused writes", got)
	}
	if got := get(m.ecam, w, 4); got != 0x05149809 {
		t.Errorf("the header changed: %#x", got)
	}
}

// TestMoveBAR moves the device while it runs: the doorbells follow, requests go on, a bad place is survived.
func TestMoveBAR(t *testing.T) {
	for _, attach := range []bool{true, false} {
		dev := &echo{queues: 2}
		m := newMachine(t, dev)
		if !attach {
			m.bells.Unsupported = errors.ErrUnsupported
		}
		tr := m.transport(t)
		d := virtiotest.Start(t, dev, virtiotest.Options{Host: m.host, Transport: tr})
		for _, to := range []uint64{mem64 + 0x8000, mem64 + 0xff_0000, mem64} {
			if err := tr.MoveBAR(0, to); err != nil {
				t.Fatal(err)
			}
			for i := range 2 {
				if r := d.Queue(i).Do(virtiotest.Out([]byte("moved")), virtiotest.In(5)); string(r.Bytes()) != "moved" {
					t.Errorf("%q", r.Bytes())
				}
			}
			for _, a := range m.bells.Attached() {
				if a != to+0x3000 && a != to+0x3004 {
					t.Errorf("at %#x, a doorbell at %#x", to, a)
				}
			}
			if n := len(m.bells.Attached()); attach && n != 2 || !attach && n != 0 {
				t.Errorf("%d doorbells", n)
			}
		}
		put(m.ecam, slot1+0x10, 8, 0xfee00000) // outside of the windows
		if n := len(m.bells.Attached()); n != 0 {
			t.Errorf("%d doorbells at no address", n)
		}
		put(m.ecam, slot1+0x10, 8, mem64)
		if r := d.Queue(0).Do(virtiotest.Out([]byte("back")), virtiotest.In(4)); string(r.Bytes()) != "back" {
			t.Errorf("%q", r.Bytes())
		}
	}
}

// TestMachineReset: the root complex's reset stops the device and forgets all the driver did.
func TestMachineReset(t *testing.T) {
	virtiotest.NoLeak(t)
	dev := &echo{}
	m := newMachine(t, dev)
	m.start(t, dev)
	put(m.ecam, slot1+0x84+8, 4, 0x2000)
	if err := m.root.Reset(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := get(m.ecam, slot1+0x84+8, 4); got != 0 {
		t.Errorf("the access window still shows %#x", got)
	}
	if s := m.dev.Core().Status(); s != 0 || get(&m.bus, common, 4) != 0xffffffff || len(m.bells.Attached()) != 0 {
		t.Errorf("status %#x, decoding on, or doorbells left", s)
	}
	d := m.start(t, dev) // a kernel boots again
	if r := d.Queue(0).Do(virtiotest.Out([]byte("boot")), virtiotest.In(4)); string(r.Bytes()) != "boot" {
		t.Errorf("%q", r.Bytes())
	}
}

// TestState: a paused device says all that a driver told it.
func TestState(t *testing.T) {
	dev := &echo{queues: 2}
	m := newMachine(t, dev)
	d := m.start(t, dev)
	d.Queue(1).Do(virtiotest.Out([]byte("x")), virtiotest.In(1))
	if _, err := m.dev.State(); err == nil {
		t.Error("state of a running device")
	}
	if err := m.dev.Pause(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer m.dev.Resume()
	put(&m.bus, common+22, 2, 7)
	put(m.ecam, slot1+0x84+8, 4, 0x2000)
	s, err := m.dev.State()
	if err != nil {
		t.Fatal(err)
	}
	if s.ConfigVector != 0 || fmt.Sprint(s.QueueVectors) != "[1 2]" || s.QueueSelect != 7 || s.ISR != 1 || s.Window[7] != 0x20 {
		t.Errorf("%+v", s)
	}
	if q := s.Core.Queues[1]; q.Next != 1 || q.Used != 1 || q.Held != 0 || !q.Config.Enabled || q.Config.Used != d.Queue(1).Used.Addr() {
		t.Errorf("queue 1: %+v", q)
	}
	x := s.Function.MSIX
	if !x.Enabled || x.Masked || len(x.Entries) != 3 || x.Entries[2].Message != (devices.MSI{Addr: 0xfee00000, Data: 2}) || x.Entries[2].Control != 0 {
		t.Errorf("MSI-X: %+v", x)
	}
	if s.Function.Space[4] != 6 {
		t.Errorf("command %#x", s.Function.Space[4])
	}
}

// TestNotifyAllocations: a notification and an interrupt cost no garbage on the way through the registers.
func TestNotifyAllocations(t *testing.T) {
	dev := &echo{}
	m := newMachine(t, dev)
	d := m.start(t, dev)
	b := d.Queue(0).Batch(4, true, virtiotest.Out([]byte("x")), virtiotest.In(1))
	var word [2]byte
	n := testing.AllocsPerRun(500, func() {
		b.Post()
		m.bus.Write(notify, word[:])
		for done := 0; done < 4; done += b.Take() {
			<-d.Transport.Interrupt(0)
		}
	})
	t.Logf("allocations: %v a notification of 4 requests and their interrupt", n)
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// BenchmarkRequest is a request through the registers: a store to the notification address, the worker, an MSI.
func BenchmarkRequest(b *testing.B) {
	dev := &echo{}
	m := newMachine(b, dev)
	d := m.start(b, dev)
	batch := d.Queue(0).Batch(1, true, virtiotest.Out([]byte("x")), virtiotest.In(1))
	var word [2]byte
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		batch.Post()
		m.bus.Write(notify, word[:])
		for batch.Take() == 0 {
			<-d.Transport.Interrupt(0)
		}
	}
}

// TestTooManyQueues: the page of vectors has room for 255 queues.
func TestTooManyQueues(t *testing.T) {
	for n, ok := range map[int]bool{255: true, 256: false} {
		if _, err := newDevice(t, n); (err == nil) != ok {
			t.Errorf("%d queues: %v", n, err)
		}
	}
}

// FuzzRegisters accesses all structures of a running device, through the bus and through the window, at random offsets
// and widths. Whatever happens: no panic, no byte of RAM outside of what the driver offered changes, and a reset brings
// the device back.
func FuzzRegisters(f *testing.F) {
	f.Add([]byte{0, 20, 0, 0, 0, 0, 0, 0})
	f.Add([]byte{0, 24, 0, 1, 0xff, 0xff, 0, 0})
	f.Add([]byte{3, 0, 0, 1, 1, 0, 0, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		dev := &echo{queues: 2}
		m := newMachineRAM(t, dev, 128<<10)
		d := m.start(t, dev)
		before := ram(t, d)
		queues := [2]virtio.QueueConfig{m.dev.Core().Queue(0), m.dev.Core().Queue(1)}
		for len(data) >= 8 {
			off := uint64(binary.LittleEndian.Uint16(data[1:]))
			n := []int{1, 2, 4, 8}[data[3]%4]
			v := uint64(binary.LittleEndian.Uint32(data[4:]))
			switch data[0] % 6 {
			case 0:
				put(&m.bus, common+off%0x40, n, v)
			case 1:
				get(&m.bus, mem64+off%0x8000, n)
			case 2:
				put(&m.bus, mem64+off%0x8000, n, v|v<<32)
			case 3:
				put(&m.bus, notify+off%16, n, v)
			case 4:
				put(m.ecam, slot1+0x84+off%20, n, v)
				get(m.ecam, slot1+0x84+off%20, n)
			case 5:
				put(m.ecam, slot1+0x98+off%12, n, v)
			}
			data = data[8:]
		}
		// A guest that resets the device may put its rings elsewhere; else they are where they were.
		same := queues == [2]virtio.QueueConfig{m.dev.Core().Queue(0), m.dev.Core().Queue(1)}
		put(m.ecam, slot1+4, 2, 6)
		if err := m.dev.Reset(t.Context()); err != nil {
			t.Fatal(err)
		}
		if same && !bytes.Equal(before, ram(t, d)) {
			t.Fatal("RAM changed") // no chain was available
		}
		again := m.transport(t)
		d2 := virtiotest.New(t, dev, virtiotest.Options{Host: m.host, Transport: keep{again}})
		d2.Negotiate(0)
		d2.SetupQueue(1, 16)
		d2.DriverOK()
		if r := d2.Queue(1).Do(virtiotest.Out([]byte("again")), virtiotest.In(5)); string(r.Bytes()) != "again" {
			t.Fatalf("%q", r.Bytes())
		}
	})
}

// keep is a transport whose device somebody else closes.
type keep struct{ *virtiotest.PCITransport }

func (keep) Close() error { return nil }

// ram is a copy of RAM without the used rings, which the device writes.
func ram(t testing.TB, d *virtiotest.Driver) []byte {
	t.Helper()
	n := d.Mem.Regions()[0].Size
	r, err := d.Mem.Range(0, n)
	if err != nil {
		t.Fatal(err)
	}
	p := make([]byte, n)
	if err := r.Read(0, p); err != nil {
		t.Fatal(err)
	}
	for i := range 2 {
		u := d.Queue(i).Used
		clear(p[u.Addr() : uint64(u.Addr())+u.Len()])
	}
	return p
}
