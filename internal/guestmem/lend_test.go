package guestmem

import (
	"bytes"
	"errors"
	"testing"
)

// three returns memory of two regions and three ranges of it with known contents, laid end to end "abcdefghij".
func three(t *testing.T) (*Memory, []Range) {
	t.Helper()
	m, err := New([]Region{{Base: 0, Size: 2 * PageSize}, {Base: 0x100000, Size: PageSize}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	var rs []Range
	for _, p := range []struct {
		a    GPA
		text string
	}{{0x10, "abc"}, {0x100ff8, "defgh"}, {PageSize, "ij"}} {
		r, err := m.Range(p.a, uint64(len(p.text)))
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Write(0, []byte(p.text)); err != nil {
			t.Fatal(err)
		}
		rs = append(rs, r)
	}
	return m, rs
}

func TestLend(t *testing.T) {
	_, rs := three(t)
	const all = "abcdefghij"
	for off := uint64(0); off <= 11; off++ {
		for n := uint64(0); n <= 12; n++ {
			var got []byte
			called := false
			err := Lend(rs, off, n, ReadOnly, nil, func(bufs [][]byte) error {
				called = true
				for _, b := range bufs {
					if len(b) == 0 || cap(b) != len(b) {
						t.Errorf("lend %d+%d: piece has len %d cap %d", off, n, len(b), cap(b))
					}
					got = append(got, b...)
				}
				return nil
			})
			fits := n == 0 || off+n <= uint64(len(all))
			if fits != (err == nil) || fits != called {
				t.Fatalf("lend %d+%d: err %v, called %v", off, n, err, called)
			}
			if !fits && !errors.Is(err, ErrOutside) {
				t.Errorf("lend %d+%d: %v, want ErrOutside", off, n, err)
			}
			if fits && n > 0 && string(got) != all[off:off+n] {
				t.Errorf("lend %d+%d: got %q", off, n, got)
			}
		}
	}
}

func TestLendMarksDirty(t *testing.T) {
	m, rs := three(t)
	m.TrackDirty(true)
	write := func(bufs [][]byte) error {
		for _, b := range bufs {
			copy(b, bytes.Repeat([]byte{'x'}, len(b)))
		}
		return nil
	}
	if err := Lend(rs, 4, 5, ReadWrite, nil, write); err != nil { // "efgh" and "i"
		t.Fatal(err)
	}
	if d := m.TakeDirty(0); d[0] != 2 {
		t.Errorf("region 0: dirty %#x, want page 1 only", d[0])
	}
	if d := m.TakeDirty(1); d[0] != 1 {
		t.Errorf("region 1: dirty %#x, want page 0", d[0])
	}
	if err := Lend(rs, 0, 10, ReadOnly, nil, write); err != nil {
		t.Fatal(err)
	}
	if d := m.TakeDirty(0); d[0] != 0 {
		t.Errorf("a read-only lend marked %#x", d[0])
	}
}

func TestLendLease(t *testing.T) {
	m, rs := three(t)
	closed := make(chan struct{})
	err := Lend(rs, 0, 10, ReadOnly, nil, func(bufs [][]byte) error {
		go func() {
			_ = m.Close()
			close(closed)
		}()
		for rs[0].Read(0, make([]byte, 1)) == nil { // until Close has begun
		}
		select {
		case <-closed:
			t.Error("Close did not wait for the lend")
		default:
		}
		_ = bufs[0][0] // still mapped
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	<-closed
	if err := Lend(rs, 0, 1, ReadOnly, nil, nil); !errors.Is(err, ErrClosed) {
		t.Errorf("lend after Close: %v", err)
	}
}

func TestLendPanic(t *testing.T) {
	m, rs := three(t)
	func() {
		defer func() { _ = recover() }()
		_ = Lend(rs, 0, 10, ReadWrite, nil, func([][]byte) error { panic("device") })
	}()
	if err := m.Close(); err != nil { // hangs if the lease is still held
		t.Fatal(err)
	}
}

func TestLendAllocs(t *testing.T) {
	_, rs := three(t)
	bufs := make([][]byte, 0, 4)
	fn := func([][]byte) error { return nil }
	if n := testing.AllocsPerRun(100, func() { _ = Lend(rs, 1, 8, ReadWrite, bufs, fn) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
