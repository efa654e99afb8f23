package pci_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/husk-vm/husk/devices"
	"github.com/husk-vm/husk/devices/pci"
)

// vectors implements devices.Interrupts and records what happens.
type vectors struct {
	mu    sync.Mutex
	log   []string // guarded by mu
	made  int      // guarded by mu
	open  int      // guarded by mu
	fail  error    // of NewMSI
	route error    // of Route
}

func (v *vectors) NewMSI() (devices.MSIVector, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.fail != nil {
		return nil, v.fail
	}
	v.made++
	v.open++
	v.log = append(v.log, fmt.Sprintf("new %d", v.made))
	return &vector{v: v, n: v.made}, nil
}

func (v *vectors) add(format string, args ...any) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.log = append(v.log, fmt.Sprintf(format, args...))
}

// take returns the log since the last call.
func (v *vectors) take() string {
	v.mu.Lock()
	defer v.mu.Unlock()
	s := strings.Join(v.log, ", ")
	v.log = nil
	return s
}

type vector struct {
	v   *vectors
	n   int
	msg devices.MSI
}

func (m *vector) Route(msg devices.MSI) error {
	if m.v.route != nil {
		return m.v.route
	}
	m.msg = msg
	m.v.add("route %d %#x:%#x", m.n, msg.Addr, msg.Data)
	return nil
}
func (m *vector) Raise() { m.v.add("raise %d %#x", m.n, m.msg.Data) }
func (m *vector) Close() error {
	m.v.mu.Lock()
	defer m.v.mu.Unlock()
	m.v.open--
	return nil
}

const (
	ctrl   = 0x8000 + 0x42 // MSI-X message control of slot 1
	enable = 1 << 15
	fmask  = 1 << 14
)

// msixRig is a function in slot 1 with three vectors, its table at base64 and its pending bits at base64+0x800.
func msixRig(t *testing.T) (*rig, *pci.MSIX) {
	t.Helper()
	r := newRig(t)
	var m *pci.MSIX
	r.add(1, func(f *pci.Function) {
		var err error
		if m, err = f.AddMSIX(3, pci.MSIXPlace{BAR: 0, Table: 0, PBA: 0x800}); err != nil {
			t.Fatal(err)
		}
		var regions pci.Regions
		if err := errors.Join(regions.Map(0, 48, m.Table()), regions.Map(0x800, 8, m.PBA())); err != nil {
			t.Fatal(err)
		}
		setBAR(t, f, 0, pci.BAR{Size: 0x1000, Wide: true, Device: &regions})
	})
	put(r.ecam, slot(1)+4, 2, 6)
	return r, m
}

func (r *rig) entry(i int, addr, data, control uint64) {
	at := base64 + 16*uint64(i)
	put(&r.bus, at, 8, addr)
	put(&r.bus, at+8, 4, data)
	put(&r.bus, at+12, 4, control)
}

// TestMSIX is a conversation: what the guest and the device do, and what the machine's vectors are told.
func TestMSIX(t *testing.T) {
	r, m := msixRig(t)
	pba := func() uint64 { return get(&r.bus, base64+0x800, 8) }
	for i, step := range []struct {
		name string
		do   func()
		want string
		pba  uint64
	}{
		{"raise while off", func() { m.Raise(0) }, "", 0},
		{"enable, function masked", func() { put(r.ecam, ctrl, 2, enable|fmask) }, "", 0},
		{"fill in entry 0, unmasked", func() { r.entry(0, 0xfee01000, 0x31, 0) }, "", 0},
		{"fill in entry 1, masked", func() { r.entry(1, 0xfee02000, 0x32, 1) }, "", 0},
		{"raise 0 while the function is masked", func() { m.Raise(0); m.Raise(0) }, "", 1},
		{"unmask the function", func() { put(r.ecam, ctrl, 2, enable) }, "new 1, route 1 0xfee01000:0x31, raise 1 0x31", 0},
		{"raise 0", func() { m.Raise(0) }, "raise 1 0x31", 0},
		{"raise 1, masked", func() { m.Raise(1) }, "", 2},
		{"raise 2, never filled in", func() { m.Raise(2) }, "", 6},
		{"numbers beyond the table", func() { m.Raise(3); m.Raise(-1); m.Raise(1 << 40) }, "", 6},
		{"unmask 1", func() { put(&r.bus, base64+16+12, 4, 0) }, "new 2, route 2 0xfee02000:0x32, raise 2 0x32", 4},
		{"mask and unmask 1: no new route", func() { put(&r.bus, base64+28, 4, 1); put(&r.bus, base64+28, 4, 0) }, "", 4},
		{"mask 1, change its message, change it back, unmask", func() {
			put(&r.bus, base64+28, 4, 1)
			put(&r.bus, base64+24, 4, 0x99)
			put(&r.bus, base64+24, 4, 0x32)
			put(&r.bus, base64+28, 4, 0)
		}, "", 4},
		{"move 1 to another CPU", func() {
			put(&r.bus, base64+28, 4, 1)
			put(&r.bus, base64+16, 4, 0xfee03000)
			m.Raise(1)
			put(&r.bus, base64+28, 4, 0)
		}, "route 2 0xfee03000:0x32, raise 2 0x32", 4},
		{"function mask, raise, off: what was pending stays", func() {
			put(r.ecam, ctrl, 2, enable|fmask)
			m.Raise(0)
			put(r.ecam, ctrl, 2, fmask)
			m.Raise(1)
		}, "", 5},
		{"on again", func() { put(r.ecam, ctrl, 2, enable) }, "raise 1 0x31", 4},
		{"control word byte by byte", func() { put(r.ecam, ctrl, 1, 0xff); put(r.ecam, ctrl+1, 1, fmask>>8) }, "", 4},
		{"control word as part of a dword", func() { put(r.ecam, ctrl-2, 4, enable<<16) }, "", 4},
		{"raise 0 again", func() { m.Raise(0) }, "raise 1 0x31", 4},
		{"odd writes to the table", func() {
			put(&r.bus, base64+28, 1, 1)
			put(&r.bus, base64+28, 2, 1)
			put(&r.bus, base64+26, 4, 1)
			put(&r.bus, base64+20, 8, 1)
			m.Raise(1)
		}, "raise 2 0x32", 4},
		{"writes to the pending bits", func() { put(&r.bus, base64+0x800, 8, ^uint64(0)) }, "", 4},
	} {
		step.do()
		if got := r.irqs.take(); got != step.want {
			t.Fatalf("%d %s: %q, want %q", i, step.name, got, step.want)
		}
		if got := pba(); got != step.pba {
			t.Fatalf("%d %s: pending %#x, want %#x", i, step.name, got, step.pba)
		}
	}
	if got := get(r.ecam, ctrl, 2); got != enable|2 {
		t.Errorf("control %#x", got)
	}
	if got := get(&r.bus, base64+16, 8); got != 0xfee03000 {
		t.Errorf("entry 1: %#x", got)
	}
	if get(&r.bus, base64+40, 8) != 1<<32 || get(&r.bus, base64+45, 1) != 0 || get(&r.bus, base64+46, 4) != 0xffff0000 {
		t.Error("end of the table") // entry 2 is masked; beyond it there are ones
	}
}

// TestVectorFailures: a machine that has no vector left leaves the interrupt pending, and nothing else stops.
func TestVectorFailures(t *testing.T) {
	r, m := msixRig(t)
	r.irqs.fail = errors.New("no vector")
	put(r.ecam, ctrl, 2, enable)
	r.entry(0, 0xfee00000, 1, 0)
	m.Raise(0)
	if m.Failures() == 0 || get(&r.bus, base64+0x800, 8) != 1 {
		t.Errorf("%d failures, pending %#x", m.Failures(), get(&r.bus, base64+0x800, 8))
	}
	r.irqs.fail, r.irqs.route = nil, errors.New("no route")
	put(&r.bus, base64+12, 4, 0)
	m.Raise(0)
	r.irqs.take()
	r.irqs.route = nil
	put(&r.bus, base64+12, 4, 0)
	if got := r.irqs.take(); got != "route 1 0xfee00000:0x1, raise 1 0x1" {
		t.Errorf("%q", got)
	}
	if err := r.root.Close(); err != nil || r.irqs.open != 0 {
		t.Errorf("close: %v, %d open", err, r.irqs.open)
	}
	m.Raise(0)
	if got := r.irqs.take(); got != "" {
		t.Errorf("after close: %q", got)
	}
}

// TestNoInterruptIsLost masks and unmasks while a device raises: after the last unmask each raise was delivered or
// merged into a later one. Run it with -race.
func TestNoInterruptIsLost(t *testing.T) {
	r, m := msixRig(t)
	put(r.ecam, ctrl, 2, enable)
	r.entry(0, 0xfee00000, 1, 0)
	r.irqs.take()
	var raised atomic.Uint64
	var wg sync.WaitGroup
	stop := make(chan struct{})
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				put(&r.bus, base64+12, 4, 1)
				put(r.ecam, ctrl, 2, enable|fmask)
				put(r.ecam, ctrl, 2, enable)
				put(&r.bus, base64+12, 4, 0)
			}
		}
	})
	for range 2000 {
		raised.Add(1)
		m.Raise(0)
	}
	close(stop)
	wg.Wait()
	put(r.ecam, ctrl, 2, enable)
	put(&r.bus, base64+12, 4, 0)
	if get(&r.bus, base64+0x800, 8) != 0 {
		t.Error("still pending while unmasked")
	}
	if r.irqs.take() == "" {
		t.Error("nothing arrived")
	}
	before := r.irqs.take()
	m.Raise(0)
	if got := r.irqs.take(); got != "raise 1 0x1" {
		t.Errorf("%q after %q", got, before)
	}
}

func BenchmarkRaise(b *testing.B) {
	bus := devices.Bus{}
	root, err := pci.New(pci.Config{MMIO: &bus, Interrupts: quiet{}, Mem64: pci.Window{Base: base64, Size: window}})
	if err != nil {
		b.Fatal(err)
	}
	f := pci.NewFunction(testID)
	m, err := f.AddMSIX(1, pci.MSIXPlace{})
	if err != nil {
		b.Fatal(err)
	}
	if err := root.Add(1, f); err != nil {
		b.Fatal(err)
	}
	put(root.ECAM(), ctrl, 2, enable)
	put(m.Table(), 12, 4, 0)
	b.ReportAllocs()
	for b.Loop() {
		m.Raise(0)
	}
}

type quiet struct{}

func (quiet) NewMSI() (devices.MSIVector, error) { return quiet{}, nil }
func (quiet) Route(devices.MSI) error            { return nil }
func (quiet) Raise()                             {}
func (quiet) Close() error                       { return nil }
