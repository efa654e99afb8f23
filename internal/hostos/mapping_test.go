package hostos

import (
	"errors"
	"math"
	"testing"
)

func TestMapping(t *testing.T) {
	page := uint64(PageSize())
	m, err := MapAnonymous(3 * page)
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	b := m.Bytes()
	if uint64(len(b)) != 3*page || uint64(cap(b)) != 3*page || m.Address()%uintptr(page) != 0 || m.Address() == 0 {
		t.Fatalf("len %d, cap %d, at %#x", len(b), cap(b), m.Address())
	}
	for i := range b {
		if b[i] != 0 {
			t.Fatalf("byte %d is not zero", i)
		}
		b[i] = 0xee
	}
	if err := m.Discard(page, page); err != nil {
		t.Fatal(err)
	}
	for i := range b {
		if in := uint64(i) >= page && uint64(i) < 2*page; in != (b[i] == 0) {
			t.Fatalf("byte %d is %#x", i, b[i])
		}
	}
	for _, r := range [][2]uint64{{3 * page, page}, {0, 4 * page}, {page, math.MaxUint64}, {math.MaxUint64, page}} {
		if err := m.Discard(r[0], r[1]); err == nil {
			t.Errorf("discarded %#x+%#x", r[0], r[1])
		}
	}
	for range 2 {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}
	for _, n := range []uint64{0, math.MaxInt + 1, math.MaxInt} {
		if m, err := MapAnonymous(n); err == nil {
			m.Close()
			t.Errorf("mapped %d bytes", n)
		}
	}
}

// TestMappingLargerThanHost: guests may be promised more than there is, as long as they do not use it.
func TestMappingLargerThanHost(t *testing.T) {
	ram, err := HostRAM()
	if err != nil {
		t.Skip(err)
	}
	m, err := MapAnonymous(2 * ram.Total)
	if err != nil {
		t.Skip(err) // the host was told not to overcommit
	}
	b := m.Bytes()
	b[0], b[len(b)-1] = 1, 2
	if err := m.Close(); err != nil {
		t.Error(err)
	}
}
