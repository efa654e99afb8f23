//go:build linux && amd64

package kvm

import (
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"github.com/husk-vm/husk/internal/hv"
)

// makeRing is a ring as the kernel leaves it: entries from first on, the rest 0xee.
func makeRing(first uint32, entries ...[postedEntry]byte) postedRing {
	r := make(postedRing, ringSize)
	for i := range r {
		r[i] = 0xee
	}
	r.setFirst(first)
	at := first
	for _, e := range entries {
		copy(r[postedEntries+postedEntry*int(at):], e[:])
		at = (at + 1) % postedRoom
	}
	binary.NativeEndian.PutUint32(r[postedLast:], at)
	return r
}

func post(pio uint32, addr uint64, n uint32, data uint64) (e [postedEntry]byte) {
	binary.NativeEndian.PutUint64(e[postedAddr:], addr)
	binary.NativeEndian.PutUint32(e[postedLen:], n)
	binary.NativeEndian.PutUint32(e[postedPIO:], pio)
	binary.LittleEndian.PutUint64(e[postedData:], data)
	return e
}

func TestTakePosted(t *testing.T) {
	for _, tt := range []struct {
		name string
		ring postedRing
		want []hv.Exit // Data as text below
		data []string
		fail string
	}{
		{"empty", makeRing(7), nil, nil, ""},
		{"port", makeRing(0, post(1, 0xcf8, 4, 0x8000_1234)), []hv.Exit{{Kind: hv.ExitPort, Addr: 0xcf8, Size: 4}}, []string{"\x34\x12\x00\x80"}, ""},
		{"memory", makeRing(0, post(0, 1<<63, 8, 0x3837363534333231)), []hv.Exit{{Kind: hv.ExitMMIO, Addr: 1 << 63, Size: 8}}, []string{"12345678"}, ""},
		{
			"round the end", makeRing(postedRoom-1, post(1, 0xffff, 1, 'a'), post(0, 5, 3, 'b')),
			[]hv.Exit{{Kind: hv.ExitPort, Addr: 0xffff, Size: 1}, {Kind: hv.ExitMMIO, Addr: 5, Size: 3}},
			[]string{"a", "b\x00\x00"},
			"",
		},
		{"memory of 0", makeRing(0, post(0, 1, 0, 0)), nil, nil, "malformed posted write (code 0x0)"},
		{"memory of 9", makeRing(0, post(0, 1, 9, 0)), nil, nil, "malformed posted write (code 0x9)"},
		{"port of 3", makeRing(0, post(1, 1, 3, 0)), nil, nil, "malformed posted write (code 0x3)"},
		{"port of 8", makeRing(0, post(1, 1, 8, 0)), nil, nil, "malformed posted write (code 0x8)"},
		{"port 65536", makeRing(0, post(1, 0x1_0000, 1, 0)), nil, nil, "malformed posted write"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := &posted{ring: tt.ring}
			last := tt.ring.last()
			n := 0
			p.take(func(e *hv.Exit) {
				if tt.fail != "" {
					if e.Kind != hv.ExitFailed || !strings.Contains(e.Err.Error(), tt.fail) {
						t.Fatalf("%+v, want %q", e, tt.fail)
					}
					return
				}
				if n == len(tt.want) {
					t.Fatalf("one too many: %+v", e)
				}
				if w := tt.want[n]; e.Kind != w.Kind || e.Addr != w.Addr || e.Size != w.Size || !e.Write || string(e.Data) != tt.data[n] || cap(e.Data) != e.Size {
					t.Errorf("%+v, want %+v with %q", e, w, tt.data[n])
				}
				if tt.ring.empty() {
					t.Error("the ring is empty before the write was served")
				}
				n++
			})
			if n != len(tt.want) || !tt.ring.empty() || tt.ring.last() != last {
				t.Errorf("%d served, want %d; ring from %d to %d", n, len(tt.want), tt.ring.first(), tt.ring.last())
			}
		})
	}
}

// TestTakePostedOutOfBounds: indices that no kernel writes are told once, and nothing is read through them.
func TestTakePostedOutOfBounds(t *testing.T) {
	for _, bad := range [][2]uint32{{postedRoom, 0}, {0, postedRoom}, {1<<32 - 1, 1<<32 - 1}} {
		r := makeRing(0)
		r.setFirst(bad[0])
		binary.NativeEndian.PutUint32(r[postedLast:], bad[1])
		p, told := &posted{ring: r}, 0
		for range 2 {
			p.take(func(e *hv.Exit) {
				if told++; e.Kind != hv.ExitFailed {
					t.Errorf("%+v", e)
				}
			})
		}
		if told != 1 {
			t.Errorf("indices %v: told %d times", bad, told)
		}
	}
}

func TestTakePostedAllocatesNothing(t *testing.T) {
	vm := &VM{posted: posted{ring: makeRing(0)}}
	var sum uint64
	serve := func(e *hv.Exit) { sum += uint64(len(e.Data)) }
	entry := post(1, 0xcf8, 4, 1)
	if n := testing.AllocsPerRun(1000, func() {
		r := vm.posted.ring
		for range 3 {
			last := r.last()
			copy(r[postedEntries+postedEntry*int(last):], entry[:])
			binary.NativeEndian.PutUint32(r[postedLast:], (last+1)%postedRoom)
		}
		vm.TakePosted(serve)
		vm.TakePosted(serve) // nothing is there
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if sum != 1001*3*4 {
		t.Errorf("%d bytes were served", sum)
	}
}

// FuzzTakePosted: whatever is in the page, each exit has the shape that internal/hv promises, there are no more than the
// ring has room for, and only first changes.
func FuzzTakePosted(f *testing.F) {
	f.Add([]byte(makeRing(0, post(1, 0xcf8, 4, 1), post(0, 1, 8, 2))[:128]))
	f.Add([]byte(makeRing(postedRoom - 1)[:8]))
	f.Fuzz(func(t *testing.T, head []byte) {
		r := make(postedRing, ringSize)
		copy(r, head)
		before := string(r[postedLast:])
		p, n := &posted{ring: r}, 0
		p.take(func(e *hv.Exit) {
			n++
			switch e.Kind {
			case hv.ExitPort:
				if e.Addr > 0xffff || e.Size != len(e.Data) || e.Size != 1 && e.Size != 2 && e.Size != 4 || !e.Write {
					t.Fatalf("port: %+v", e)
				}
			case hv.ExitMMIO:
				if e.Size != len(e.Data) || e.Size < 1 || e.Size > 8 || !e.Write {
					t.Fatalf("mmio: %+v", e)
				}
			case hv.ExitFailed:
				if e.Err == nil {
					t.Fatal("failed without a reason")
				}
			default:
				t.Fatalf("made up: %+v", e)
			}
		})
		if n >= postedRoom || string(r[postedLast:]) != before || !p.broken && !r.empty() {
			t.Fatalf("%d served, ring from %d to %d", n, r.first(), r.last())
		}
	})
}

func TestPostRefuses(t *testing.T) {
	vm, _ := testVM(t)
	for _, err := range []error{
		vm.PostPort(0xffff, 2), vm.PostPort(0, 0), vm.PostPort(1, -1),
		vm.PostMMIO(1<<64-1, 2), vm.PostMMIO(0, 0), vm.PostMMIO(0, -1), vm.PostMMIO(0, 1<<33),
	} {
		if err == nil || errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%v", err)
		}
	}
	vm.posted.ports, vm.posted.pageAt = false, 0 // a kernel without
	for _, err := range []error{vm.PostPort(0x40, 4), vm.PostMMIO(0x1000, 4)} {
		if !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%v", err)
		}
	}
}
