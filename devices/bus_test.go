package devices_test

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/husk-vm/husk/devices"
)

// tape is a device that answers reads with bytes which tell its name and the offset, and records what reaches it.
type tape struct {
	name byte
	log  []string
}

func (d *tape) Read(off uint64, p []byte) {
	for i := range p {
		p[i] = d.name ^ byte(off+uint64(i))
	}
	d.log = append(d.log, fmt.Sprintf("%c r%d %#x", d.name, len(p), off))
}

func (d *tape) Write(off uint64, p []byte) {
	d.log = append(d.log, fmt.Sprintf("%c w %#x %x", d.name, off, p))
}

func TestBusRouting(t *testing.T) {
	tests := []struct {
		name   string
		addr   uint64
		n      int
		want   string // hex of the bytes read
		log    string // what the devices saw of the read, then of a write of the same length
		misses uint64
	}{
		{"below everything", 0x0f, 1, "ff", "", 1},
		{"first byte", 0x10, 1, "61", "a r1 0x0|a w 0x0 00", 0},
		{"inside, four bytes", 0x12, 4, "63626564", "a r4 0x2|a w 0x2 00010203", 0},
		{"last byte", 0x17, 1, "66", "a r1 0x7|a w 0x7 00", 0},
		{"over the end, next block not reached", 0x16, 4, "6766ffff", "a r2 0x6|a w 0x6 0001", 1},
		{"over the end, odd part is cut for the device", 0x15, 4, "646766ff", "a r2 0x5|a r1 0x7|a w 0x5 0001|a w 0x7 02", 1},
		{"over the end of a one-byte block", 0x18, 8, "62ffffffffffffff", "b r1 0x0|b w 0x0 00", 1},
		{"starts before a block", 0x0f, 4, "ffffffff", "", 1},
		{"odd length", 0x10, 7, "61606362656467", "a r4 0x0|a r2 0x4|a r1 0x6|a w 0x0 00010203|a w 0x4 0405|a w 0x6 06", 0},
		{"nothing", 0x10, 0, "", "", 0},
		{"the last address there is", math.MaxUint64, 8, "62ffffffffffffff", "c r1 0x1|c w 0x1 00", 1},
		{"up to the last address", math.MaxUint64 - 1, 2, "6362", "c r2 0x0|c w 0x0 0001", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var bus devices.Bus
			a, b, c := &tape{name: 'a'}, &tape{name: 'b'}, &tape{name: 'c'}
			mustMap(t, &bus, 0x10, 8, a)
			mustMap(t, &bus, 0x18, 1, b)
			mustMap(t, &bus, math.MaxUint64-1, 2, c)
			p := make([]byte, tt.n)
			bus.Read(tt.addr, p)
			if got := fmt.Sprintf("%x", p); got != tt.want {
				t.Errorf("read %s, want %s", got, tt.want)
			}
			if got := bus.Misses(); got != tt.misses {
				t.Errorf("misses %d, want %d", got, tt.misses)
			}
			for i := range p {
				p[i] = byte(i)
			}
			bus.Write(tt.addr, p)
			log := strings.Join(append(append(a.log, b.log...), c.log...), "|")
			if log != tt.log {
				t.Errorf("devices saw %q, want %q", log, tt.log)
			}
			if got := bus.Misses(); got != 2*tt.misses {
				t.Errorf("misses after the write %d, want %d", got, 2*tt.misses)
			}
		})
	}
}

func TestBusMapErrors(t *testing.T) {
	var bus devices.Bus
	d := &tape{name: 'd'}
	mustMap(t, &bus, 0x100, 0x10, d)
	tests := []struct {
		name       string
		base, size uint64
		dev        devices.Device
		overlap    bool
		want       string
	}{
		{"same", 0x100, 0x10, d, true, "map 0x100-0x10f (*devices_test.tape): addresses overlap with 0x100-0x10f (*devices_test.tape)"},
		{"inside", 0x104, 1, d, true, "map 0x104-0x104 (*devices_test.tape): addresses overlap with 0x100-0x10f (*devices_test.tape)"},
		{"around", 0, 0x1000, d, true, "map 0x0-0xfff (*devices_test.tape): addresses overlap with 0x100-0x10f (*devices_test.tape)"},
		{"low edge", 0xff, 2, d, true, "map 0xff-0x100 (*devices_test.tape): addresses overlap with 0x100-0x10f (*devices_test.tape)"},
		{"high edge", 0x10f, 2, d, true, "map 0x10f-0x110 (*devices_test.tape): addresses overlap with 0x100-0x10f (*devices_test.tape)"},
		{"no bytes", 0x200, 0, d, false, "map 0x200: size 0x0 is zero or wraps"},
		{"wraps", math.MaxUint64, 2, d, false, "map 0xffffffffffffffff: size 0x2 is zero or wraps"},
		{"no device", 0x200, 1, nil, false, "map 0x200: no device"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := bus.Map(tt.base, tt.size, tt.dev)
			if err == nil || err.Error() != tt.want || errors.Is(err, devices.ErrOverlap) != tt.overlap {
				t.Fatalf("Map = %v, want %s (overlap %v)", err, tt.want, tt.overlap)
			}
		})
	}
	mustMap(t, &bus, 0xff, 1, d)
	mustMap(t, &bus, 0x110, 1, d)
	for _, base := range []uint64{0xfe, 0x101, 0x111} {
		if bus.Unmap(base) == nil || bus.Move(base, 0x1000) == nil {
			t.Errorf("Unmap or Move of %#x, which is no base, succeeded", base)
		}
	}
}

func TestBusMove(t *testing.T) {
	var bus devices.Bus
	a, b := &tape{name: 'a'}, &tape{name: 'b'}
	mustMap(t, &bus, 0x100, 0x10, a)
	mustMap(t, &bus, 0x200, 0x10, b)
	if err := bus.Move(0x100, 0x1f8); !errors.Is(err, devices.ErrOverlap) {
		t.Fatalf("Move onto another device = %v", err)
	}
	if err := bus.Move(0x100, math.MaxUint64-1); err == nil {
		t.Fatal("Move that wraps succeeded")
	}
	if got := at(&bus, 0x100); got != 'a' {
		t.Fatalf("after two failed moves 0x100 reads %#x", got)
	}
	if err := bus.Move(0x100, 0x108); err != nil { // onto its own old addresses
		t.Fatal(err)
	}
	if lo, hi := at(&bus, 0x100), at(&bus, 0x108); lo != 0xff || hi != 'a' {
		t.Fatalf("after the move the old base reads %#x, the new one %#x", lo, hi)
	}
}

// TestBusModel holds random maps, unmaps, moves and reads against a bus that has one entry per byte.
func TestBusModel(t *testing.T) {
	const space = 96
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		var bus devices.Bus
		var model [space]*tape
		bases := map[uint64]uint64{} // base to size
		free := func(base, size uint64, but *tape) bool {
			for i := base; i < base+size; i++ {
				if model[i] != nil && model[i] != but {
					return false
				}
			}
			return true
		}
		for step := range 100 {
			base := rnd.Uint64N(space - 16)
			size, held := bases[base]
			switch to := rnd.Uint64N(space - 16); rnd.IntN(4) {
			case 0:
				size, d := 1+rnd.Uint64N(15), &tape{name: byte(step)}
				ok := free(base, size, nil)
				if err := bus.Map(base, size, d); (err == nil) != ok {
					t.Fatalf("Map %#x+%#x = %v, model says free=%v", base, size, err, ok)
				}
				if ok {
					bases[base] = size
					fill(model[base:base+size], d)
				}
			case 1:
				if err := bus.Unmap(base); (err == nil) != held {
					t.Fatalf("Unmap %#x = %v, model says mapped=%v", base, err, held)
				}
				fill(model[base:base+size], nil)
				delete(bases, base)
			case 2:
				d := model[base]
				ok := held && free(to, size, d)
				if err := bus.Move(base, to); (err == nil) != ok {
					t.Fatalf("Move %#x to %#x = %v, model says %v", base, to, err, ok)
				}
				if ok {
					fill(model[base:base+size], nil)
					fill(model[to:to+size], d)
					delete(bases, base)
					bases[to] = size
				}
			default:
				p := make([]byte, 1<<rnd.IntN(4))
				bus.Read(base, p)
				if want := modelRead(model[:], base, len(p)); !bytes.Equal(p, want) {
					t.Fatalf("read %#x: %x, model says %x", base, p, want)
				}
			}
		}
	}
}

func modelRead(model []*tape, addr uint64, n int) []byte {
	d := model[addr]
	base := addr
	for base > 0 && model[base-1] == d {
		base--
	}
	p := bytes.Repeat([]byte{0xff}, n)
	for i := range p {
		if a := addr + uint64(i); d == nil || model[a] != d {
			break
		}
		p[i] = d.name ^ byte(addr-base+uint64(i))
	}
	return p
}

func fill(model []*tape, d *tape) {
	for i := range model {
		model[i] = d
	}
}

// id answers every read with its own number; unlike tape it may be called by many at once.
type id byte

func (d id) Read(_ uint64, p []byte) {
	for i := range p {
		p[i] = byte(d)
	}
}
func (id) Write(uint64, []byte) {}

// TestBusHammer moves devices around under readers: a read sees a whole table, so the fixed neighbours never vanish
// and no read mixes two devices.
func TestBusHammer(t *testing.T) {
	var bus devices.Bus
	mustMap(t, &bus, 0, 0x10, id(1))
	mustMap(t, &bus, 0x30, 0x10, id(3))
	stop := make(chan struct{})
	var readers, writers sync.WaitGroup
	for range 3 {
		readers.Go(func() {
			p := make([]byte, 4)
			for {
				select {
				case <-stop:
					return
				default:
				}
				if bus.Read(4, p); !same(p, 1) {
					t.Errorf("fixed device reads %x", p)
				}
				if bus.Read(0x34, p); !same(p, 3) {
					t.Errorf("fixed device reads %x", p)
				}
				if bus.Read(0x14, p); !same(p, 2) && !same(p, 0xff) {
					t.Errorf("moving device reads %x", p)
				}
				bus.Write(0x14, p)
			}
		})
	}
	for i := range 2 {
		writers.Go(func() {
			base := 0x10 + 0x100*uint64(i)
			for range 3000 {
				if err := errors.Join(bus.Map(base, 8, id(2)), bus.Move(base, base+8), bus.Unmap(base+8)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	writers.Wait()
	close(stop)
	readers.Wait()
}

func same(p []byte, want byte) bool { return bytes.Count(p, []byte{want}) == len(p) }

func TestBusAllocatesNothing(t *testing.T) {
	var bus devices.Bus
	for i := range uint64(64) {
		mustMap(t, &bus, i*0x1000, 0x1000, id(i))
	}
	p := make([]byte, 4)
	if n := testing.AllocsPerRun(100, func() {
		bus.Read(0x1f004, p)
		bus.Write(0x3f000, p)
		bus.Read(0x40000, p)
	}); n != 0 {
		t.Fatalf("%v allocations an access", n)
	}
}

func BenchmarkBusRead(b *testing.B) {
	var bus devices.Bus
	for i := range uint64(64) {
		if err := bus.Map(i*0x1000, 0x1000, id(i)); err != nil {
			b.Fatal(err)
		}
	}
	p := make([]byte, 4)
	for i := 0; b.Loop(); i++ {
		bus.Read(uint64(i)*0x1010%0x40000, p)
	}
}

func mustMap(t *testing.T, b *devices.Bus, base, size uint64, d devices.Device) {
	t.Helper()
	if err := b.Map(base, size, d); err != nil {
		t.Fatal(err)
	}
}

func at(b *devices.Bus, addr uint64) byte {
	p := []byte{0}
	b.Read(addr, p)
	return p[0]
}
