package pci_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/husk-vm/husk/devices"
	"github.com/husk-vm/husk/devices/pci"
)

const (
	base32 = 0xe000_0000
	base64 = 0x40_0000_0000
	window = 0x100_0000
)

// regs is a device of bytes that remembers what was written where.
type regs struct {
	fill   byte
	writes []string
}

func (r *regs) Read(off uint64, p []byte) {
	for i := range p {
		p[i] = r.fill + byte(off) + byte(i)
	}
}

func (r *regs) Write(off uint64, p []byte) {
	r.writes = append(r.writes, fmt.Sprintf("%#x=%x", off, p))
}

// rig is a root complex on a bus.
type rig struct {
	t    testing.TB
	bus  devices.Bus
	root *pci.Root
	ecam devices.Device
	io   devices.Device
	irqs *vectors
}

func newRig(t testing.TB) *rig {
	t.Helper()
	r := &rig{t: t, irqs: &vectors{}}
	var err error
	r.root, err = pci.New(pci.Config{
		MMIO: &r.bus, Interrupts: r.irqs,
		Mem32: pci.Window{Base: base32, Size: window}, Mem64: pci.Window{Base: base64, Size: window},
	})
	if err != nil {
		t.Fatal(err)
	}
	r.ecam, r.io = r.root.ECAM(), r.root.Ports()
	return r
}

var testID = pci.ID{Vendor: 0x1234, Device: 0x5678, SubVendor: 0x9abc, SubDevice: 0xdef0, Class: 0x018000, Revision: 7}

func (r *rig) add(slot int, build func(f *pci.Function)) *pci.Function {
	r.t.Helper()
	f := pci.NewFunction(testID)
	if build != nil {
		build(f)
	}
	if err := r.root.Add(slot, f); err != nil {
		r.t.Fatal(err)
	}
	return f
}

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

func slot(i int) uint64 { return uint64(i) << 15 }

func setBAR(t testing.TB, f *pci.Function, i int, b pci.BAR) {
	t.Helper()
	if err := f.SetBAR(i, b); err != nil {
		t.Fatal(err)
	}
}

// TestHeader reads the host bridge and a function through ECAM and through the ports, in all widths.
func TestHeader(t *testing.T) {
	r := newRig(t)
	r.add(3, func(f *pci.Function) {
		for i, body := range []string{"one", "second body"} {
			if _, err := f.AddCapability(0x40+uint8(i), []byte(body)); err != nil {
				t.Fatal(err)
			}
		}
	})
	for _, tt := range []struct {
		slot int
		off  uint64
		n    int
		want uint64
	}{
		{0, 0x00, 4, 0x00081b36},
		{0, 0x08, 4, 0x06000000},
		{0, 0x2c, 4, 0x11001af4},
		{0, 0x34, 1, 0},
		{0, 0x06, 2, 0},
		{3, 0x00, 4, 0x56781234},
		{3, 0x00, 2, 0x1234},
		{3, 0x02, 2, 0x5678},
		{3, 0x01, 1, 0x12},
		{3, 0x08, 4, 0x01800007},
		{3, 0x2c, 4, 0xdef09abc},
		{3, 0x06, 2, 0x10},
		{3, 0x0e, 1, 0},
		{3, 0x3d, 1, 0},
		{3, 0x10, 4, 0},
		{3, 0x30, 4, 0},
		{3, 0x34, 1, 0x40},
		{3, 0x40, 2, 0x4840},
		{3, 0x42, 1, 'o'},
		{3, 0x48, 2, 0x0041},
		{3, 0x4a, 1, 's'},
	} {
		if got := get(r.ecam, slot(tt.slot)+tt.off, tt.n); got != tt.want {
			t.Errorf("ecam %d, %#x: %#x, want %#x", tt.slot, tt.off, got, tt.want)
		}
		put(r.io, 0, 4, 1<<31|uint64(tt.slot)<<11|tt.off&^3)
		if got := get(r.io, 4+tt.off&3, tt.n); got != tt.want {
			t.Errorf("ports %d, %#x: %#x, want %#x", tt.slot, tt.off, got, tt.want)
		}
	}
}

// TestAbsent: what is not there reads as ones, and writes to it do nothing [PCI §6.1].
func TestAbsent(t *testing.T) {
	r := newRig(t)
	r.add(1, nil)
	for _, off := range []uint64{slot(2), slot(31), slot(1) + 1<<12, slot(1) + 7<<12, pci.ECAMSize, pci.ECAMSize + slot(1), 1 << 40} {
		put(r.ecam, off, 4, 0)
		if got := get(r.ecam, off, 4); got != 0xffffffff {
			t.Errorf("ecam %#x: %#x", off, got)
		}
	}
	if got := get(r.ecam, slot(1)+0x100, 4); got != 0 {
		t.Errorf("extended capabilities: %#x", got)
	}
	if got := get(r.ecam, slot(1)+0xffe, 4); got != 0xffff0000 {
		t.Errorf("beyond the end of a function: %#x", got)
	}
	for _, a := range []uint64{slot(1) >> 4, 1<<31 | 1<<16, 1<<31 | 2<<11, 1<<31 | 1<<11 | 1<<8} { // not enabled, bus 1, slot 2, function 1
		put(r.io, 0, 4, a)
		if got := get(r.io, 4, 4); got != 0xffffffff {
			t.Errorf("ports %#x: %#x", a, got)
		}
	}
}

// TestConfigAddress: only a dword at the first port is CONFIG_ADDRESS [PCI §3.2.2.3.2].
func TestConfigAddress(t *testing.T) {
	r := newRig(t)
	put(r.io, 0, 4, 0xffffffff)
	if got := get(r.io, 0, 4); got != 0x80fffffc {
		t.Errorf("address reads %#x", got)
	}
	put(r.io, 0, 4, 0x80000000)
	for _, w := range []struct {
		off uint64
		n   int
	}{{0, 1}, {1, 1}, {0, 2}, {2, 2}, {3, 1}, {0, 8}, {1, 4}, {2, 4}} {
		put(r.io, w.off, w.n, 0x1234567890)
		if got := get(r.io, 0, 4); got != 0x80000000 {
			t.Errorf("a write of %d at %d made the address %#x", w.n, w.off, got)
		}
		if w.off == 0 && w.n == 4 {
			continue
		}
		if got := get(r.io, w.off, w.n); got != ^uint64(0)>>(64-8*w.n) {
			t.Errorf("a read of %d at %d: %#x", w.n, w.off, got)
		}
	}
	if got := get(r.io, 6, 4); got != 0xffffffff { // reaches beyond the data ports
		t.Errorf("read of 4 at 6: %#x", got)
	}
}

// TestReadOnly writes ones and zeros to every byte: only what is the guest's changes.
func TestReadOnly(t *testing.T) {
	r := newRig(t)
	r.add(1, func(f *pci.Function) {
		setBAR(t, f, 2, pci.BAR{Size: 0x4000, Device: &regs{}})
		if _, err := f.AddCapability(0x40, []byte("read only")); err != nil {
			t.Fatal(err)
		}
	})
	writable := map[uint64]uint64{0x04: 0x0546, 0x0c: 0xff, 0x18: 0xffffc000, 0x3c: 0xff}
	for off := uint64(0); off < 0x1000; off += 4 {
		before := get(r.ecam, slot(1)+off, 4)
		for _, v := range []uint64{0xffffffff, 0, before} {
			put(r.ecam, slot(1)+off, 4, v)
			want := before&^writable[off] | v&writable[off]
			if got := get(r.ecam, slot(1)+off, 4); got != want {
				t.Errorf("%#x: wrote %#x over %#x: %#x, want %#x", off, v, before, got, want)
			}
		}
	}
}

// TestSizing is what kernels do: write ones, read the size, write the address back.
func TestSizing(t *testing.T) {
	for _, tt := range []struct {
		name string
		bar  pci.BAR
		mask uint64
		low  uint64
		at   uint64
	}{
		{"32 bits", pci.BAR{Size: 0x1000}, 0xfffff000, 0, base32},
		{"32 bits, large", pci.BAR{Size: 0x80_0000, Prefetchable: true}, 0xff800000, 8, base32},
		{"64 bits", pci.BAR{Size: 0x8000, Wide: true, Prefetchable: true}, 0xffff_ffff_ffff_8000, 0xc, base64},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t)
			tt.bar.Device = &regs{}
			r.add(1, func(f *pci.Function) { setBAR(t, f, 0, tt.bar) })
			n := 4
			if tt.bar.Wide {
				n = 8
			}
			if got := get(r.ecam, slot(1)+0x10, n); got != tt.at|tt.low {
				t.Errorf("at power-on: %#x, want %#x", got, tt.at|tt.low)
			}
			put(r.ecam, slot(1)+0x10, n, ^uint64(0))
			if got := get(r.ecam, slot(1)+0x10, n); got != tt.mask|tt.low {
				t.Errorf("size: %#x, want %#x", got, tt.mask|tt.low)
			}
			if got := get(r.ecam, slot(1)+0x18, 8); got != 0 {
				t.Errorf("next register: %#x", got)
			}
		})
	}
}

// answers says what the bus reads at addr: the function's own bytes, or ones.
func answers(r *rig, addr uint64, fill byte) bool {
	got := get(&r.bus, addr, 1)
	if got != uint64(fill) && got != 0xff {
		r.t.Fatalf("at %#x: %#x", addr, got)
	}
	return got == uint64(fill)
}

// TestDecoding: a function answers where its base address says, while memory decoding is on, inside of the windows,
// and where nothing else does. Nothing a guest does breaks what others have.
func TestDecoding(t *testing.T) {
	r := newRig(t)
	var moves []string
	f := r.add(1, func(f *pci.Function) {
		setBAR(t, f, 0, pci.BAR{Size: 0x1000, Wide: true, Device: &regs{fill: 1}, Moved: func(a uint64, on bool) {
			moves = append(moves, fmt.Sprintf("%#x %v", a, on))
		}})
		setBAR(t, f, 2, pci.BAR{Size: 0x1000, Device: &regs{fill: 2}})
	})
	r.add(2, func(f *pci.Function) { setBAR(t, f, 0, pci.BAR{Size: 0x1000, Wide: true, Device: &regs{fill: 3}}) })
	cfg, other := slot(1), slot(2)
	first, second := uint64(base64), uint64(base64+0x1000)

	if answers(r, first, 1) || answers(r, base32, 2) {
		t.Error("answers before decoding is on")
	}
	put(r.ecam, cfg+4, 2, 2)
	put(r.ecam, other+4, 2, 2)
	if !answers(r, first, 1) || !answers(r, base32, 2) || !answers(r, second, 3) || answers(r, second+0x1000, 1) {
		t.Error("does not answer where it was put")
	}
	// Move with decoding on, half by half: in between it is where the half address says, or nowhere.
	put(r.ecam, cfg+0x10, 4, 0x8000)
	put(r.ecam, cfg+0x14, 4, 0x40)
	if answers(r, first, 1) || !answers(r, base64+0x8000, 1) {
		t.Error("did not move")
	}
	// Onto another function: the other stays.
	put(r.ecam, cfg+0x10, 4, 0x1000)
	if !answers(r, second, 3) || answers(r, base64+0x8000, 1) {
		t.Error("conflict")
	}
	if r.root.Conflicts() != 1 {
		t.Errorf("%d conflicts", r.root.Conflicts())
	}
	// When the other goes, it gets the place.
	put(r.ecam, other+4, 2, 0)
	if !answers(r, second, 1) {
		t.Error("did not get the free place")
	}
	put(r.ecam, other+4, 2, 2)
	if !answers(r, second, 1) {
		t.Error("lost its place")
	}
	// Out of the windows, at their edges, and at the ends of the address space.
	for _, a := range []uint64{0, 0x1000, base64 - 0x1000, base64 + window, ^uint64(0) - 0xfff, 0xfee00000, base32 - 0x1000} {
		put(r.ecam, cfg+0x10, 8, a)
		if answers(r, a, 1) || !answers(r, second, 3) {
			t.Errorf("at %#x", a)
		}
	}
	put(r.ecam, cfg+0x10, 8, base64+window-0x1000)
	if !answers(r, base64+window-0x1000, 1) {
		t.Error("last page of the window")
	}
	put(r.ecam, cfg+4, 2, 0)
	if answers(r, base64+window-0x1000, 1) || answers(r, base32, 2) {
		t.Error("answers with decoding off")
	}
	want := "0x4000000000 true, 0x4000000000 false, 0x4000008000 true, 0x4000008000 false, 0x4000001000 true, 0x4000001000 false, 0x4000fff000 true, 0x4000fff000 false"
	if got := strings.Join(moves, ", "); got != want {
		t.Errorf("moves\n%s, want\n%s", got, want)
	}
	if f.BARAccess(0, 0xffd, make([]byte, 4), pci.AccessRead) || f.BARAccess(1, 0, make([]byte, 4), pci.AccessRead) ||
		f.BARAccess(6, 0, nil, pci.AccessRead) || f.BARAccess(-1, 0, nil, pci.AccessWrite) || f.BARAccess(0, ^uint64(0), make([]byte, 2), pci.AccessRead) {
		t.Error("access outside of a base address")
	}
	var b [2]byte
	if !f.BARAccess(2, 0xffe, b[:], pci.AccessRead) || b != [2]byte{0x00, 0x01} {
		t.Errorf("access inside: %x", b)
	}
}

func TestReset(t *testing.T) {
	r := newRig(t)
	stopped := errors.New("stopped")
	var stop error
	r.add(1, func(f *pci.Function) {
		setBAR(t, f, 0, pci.BAR{Size: 0x1000, Wide: true, Device: &regs{fill: 1}})
		if _, err := f.AddMSIX(2, pci.MSIXPlace{BAR: 0, Table: 0x800, PBA: 0xc00}); err != nil {
			t.Fatal(err)
		}
		f.OnReset(func(context.Context) error { return stop })
	})
	var before, after [256]byte
	r.ecam.Read(slot(1), before[:])
	put(r.ecam, slot(1)+4, 2, 0x406)
	put(r.ecam, slot(1)+0x10, 8, base64+0x5000)
	put(r.ecam, slot(1)+0x3c, 1, 9)
	put(r.ecam, slot(1)+0x42, 2, 0xffff)
	put(r.io, 0, 4, 0x80000000)
	stop = stopped
	if err := r.root.Reset(t.Context()); !errors.Is(err, stopped) || !answers(r, base64+0x5000, 1) {
		t.Errorf("reset of a device that does not stop: %v", err)
	}
	stop = nil
	if err := r.root.Reset(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.ecam.Read(slot(1), after[:])
	if !bytes.Equal(before[:], after[:]) || answers(r, base64+0x5000, 1) || get(r.io, 0, 4) != 0 {
		t.Errorf("after reset:\n%x, want\n%x", after, before)
	}
}

func TestAddErrors(t *testing.T) {
	dev := &regs{}
	for _, tt := range []struct {
		name string
		do   func(r *rig, f *pci.Function) error
	}{
		{"slot 0 is the bridge's", func(r *rig, f *pci.Function) error { return r.root.Add(0, f) }},
		{"slot 32", func(r *rig, f *pci.Function) error { return r.root.Add(32, f) }},
		{"slot -1", func(r *rig, f *pci.Function) error { return r.root.Add(-1, f) }},
		{"twice", func(r *rig, f *pci.Function) error { return errors.Join(r.root.Add(1, f), r.root.Add(2, f)) }},
		{"slot taken", func(r *rig, f *pci.Function) error {
			return errors.Join(r.root.Add(1, f), r.root.Add(1, pci.NewFunction(testID)))
		}},
		{"window full", func(r *rig, f *pci.Function) error {
			return errors.Join(f.SetBAR(0, pci.BAR{Size: 2 * window, Device: dev}), r.root.Add(1, f))
		}},
		{"size no power of two", func(_ *rig, f *pci.Function) error { return f.SetBAR(0, pci.BAR{Size: 0x3000, Device: dev}) }},
		{"size too small", func(_ *rig, f *pci.Function) error { return f.SetBAR(0, pci.BAR{Size: 16, Device: dev}) }},
		{"32 bits, 4 GiB", func(_ *rig, f *pci.Function) error { return f.SetBAR(0, pci.BAR{Size: 1 << 32, Device: dev}) }},
		{"no such register", func(_ *rig, f *pci.Function) error { return f.SetBAR(6, pci.BAR{Size: 0x1000, Device: dev}) }},
		{"wide in the last register", func(_ *rig, f *pci.Function) error {
			return f.SetBAR(5, pci.BAR{Size: 0x1000, Wide: true, Device: dev})
		}},
		{"register taken by a wide one", func(_ *rig, f *pci.Function) error {
			return errors.Join(f.SetBAR(0, pci.BAR{Size: 0x1000, Wide: true, Device: dev}), f.SetBAR(1, pci.BAR{Size: 0x1000, Device: dev}))
		}},
		{"no device", func(_ *rig, f *pci.Function) error { return f.SetBAR(0, pci.BAR{Size: 0x1000}) }},
		{"no room for a capability", func(_ *rig, f *pci.Function) error {
			_, err := f.AddCapability(9, make([]byte, 0xc0))
			return err
		}},
		{"too many vectors", func(_ *rig, f *pci.Function) error {
			_, err := f.AddMSIX(pci.MaxVectors+1, pci.MSIXPlace{})
			return err
		}},
		{"no vectors", func(_ *rig, f *pci.Function) error { _, err := f.AddMSIX(0, pci.MSIXPlace{}); return err }},
		{"change after add", func(r *rig, f *pci.Function) error {
			return errors.Join(r.root.Add(1, f), f.SetBAR(0, pci.BAR{Size: 0x1000, Device: dev}))
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if err := tt.do(newRig(t), pci.NewFunction(testID)); err == nil {
				t.Error("no error")
			}
		})
	}
	for _, w := range []pci.Config{
		{Mem32: pci.Window{Base: 0xfffff000, Size: 0x2000}},
		{Mem32: pci.Window{Base: 1 << 33, Size: 0x2000}},
		{Mem64: pci.Window{Base: 1 << 63, Size: 1<<63 + 1}},
	} {
		if _, err := pci.New(w); err == nil {
			t.Errorf("%+v was accepted", w)
		}
	}
}

// FuzzConfigSpace accesses the whole ECAM window and the ports at random. Whatever the guest does: nothing panics, the
// identity stays, the bus has no device outside of the windows, and the capability list still ends.
func FuzzConfigSpace(f *testing.F) {
	f.Add([]byte{0, 4, 0, 2, 2, 0, 2, 0})
	f.Add([]byte{1, 0x10, 0x80, 4, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, data []byte) {
		r := newRig(t)
		for i := 1; i < 4; i++ {
			r.add(i, func(f *pci.Function) {
				m, err := f.AddMSIX(4, pci.MSIXPlace{BAR: 0, Table: 0x1000, PBA: 0x2000})
				if err != nil {
					t.Fatal(err)
				}
				var regions pci.Regions
				if err := errors.Join(regions.Map(0x1000, 64, m.Table()), regions.Map(0x2000, 8, m.PBA())); err != nil {
					t.Fatal(err)
				}
				setBAR(t, f, 0, pci.BAR{Size: 0x4000, Wide: true, Device: &regions})
				setBAR(t, f, 2, pci.BAR{Size: 0x1000, Device: &regs{}})
			})
		}
		for len(data) >= 8 {
			v := binary.LittleEndian.Uint32(data[4:])
			off := uint64(data[1]) | uint64(data[2]&0xf)<<8 | uint64(data[0]%5)<<15
			n := []int{1, 2, 4, 8}[data[3]%4]
			switch data[0] / 5 % 4 {
			case 0:
				put(r.ecam, off, n, uint64(v)|uint64(v)<<32)
			case 1:
				put(r.io, 0, 4, off>>4|1<<31|uint64(data[1]&0xfc))
				put(r.io, uint64(data[2]%8), n, uint64(v))
			case 2:
				get(r.ecam, off, n)
				get(r.io, uint64(data[2]%8), n)
			case 3:
				put(&r.bus, base64+uint64(v)%window, n, uint64(v))
				get(&r.bus, base64+uint64(v)%window, n)
			}
			data = data[8:]
		}
		for i := 1; i < 4; i++ {
			if got := get(r.ecam, slot(i), 4); got != 0x56781234 {
				t.Fatalf("identity %#x", got)
			}
			if at := get(r.ecam, slot(i)+0x34, 1); at != 0x40 || get(r.ecam, slot(i)+at, 2) != 0x11 {
				t.Fatalf("capability list changed")
			}
		}
		for _, a := range []uint64{0, base32 - 8, base32 + window, base64 - 8, base64 + window, 0xfee00000} {
			if get(&r.bus, a, 8) != ^uint64(0) {
				t.Fatalf("something answers at %#x", a)
			}
		}
		if err := errors.Join(r.root.Reset(t.Context()), r.root.Close()); err != nil {
			t.Fatal(err)
		}
		if r.irqs.open != 0 {
			t.Fatalf("%d vectors left", r.irqs.open)
		}
	})
}
