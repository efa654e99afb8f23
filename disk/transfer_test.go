package disk

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"
)

var errFault = errors.New("fault")

// shaky is a file in memory whose calls stop early: the i-th call moves at most limits[i] bytes, and fails with errFault
// if that is negative; calls beyond limits are whole.
type shaky struct {
	data   []byte
	limits []int
	calls  int
}

func (s *shaky) limit(n int) (int, error) {
	i := s.calls
	s.calls++
	if i >= len(s.limits) {
		return n, nil
	}
	if s.limits[i] < 0 {
		return 0, errFault
	}
	return min(n, s.limits[i]), nil
}

func (s *shaky) mover(write bool) *mover {
	move := func(p []byte, off int64) int {
		if off > int64(len(s.data)) {
			return 0
		}
		if write {
			return copy(s.data[off:], p)
		}
		return copy(p, s.data[off:])
	}
	many := func(bufs [][]byte, off int64) (int, error) {
		if len(bufs) > maxVector {
			return 0, fmt.Errorf("%d pieces in one call", len(bufs))
		}
		left, err := s.limit(int(total(bufs)))
		done := 0
		for _, p := range bufs {
			n := move(p[:min(len(p), left)], off)
			done, left, off = done+n, left-n, off+int64(n)
			if n < len(p) {
				break
			}
		}
		return done, err
	}
	one := func(p []byte, off int64) (int, error) { return many([][]byte{p}, off) }
	return &mover{one: one, many: many}
}

// pieces cuts p into slices of the given lengths, the last of which takes the rest.
func pieces(p []byte, lengths ...int) [][]byte {
	var bufs [][]byte
	for _, n := range lengths {
		bufs = append(bufs, p[:n:n])
		p = p[n:]
	}
	return append(bufs, p)
}

// TestShortTransfers stops the first call after every possible count, and the second one too.
func TestShortTransfers(t *testing.T) {
	want := make([]byte, 40)
	for i := range want {
		want[i] = byte(i + 1)
	}
	shape := []int{0, 3, 1, 0, 7, 16}
	for first := 1; first <= len(want); first++ {
		for second := 1; second <= len(want); second++ {
			limits := []int{first, second}

			s := &shaky{data: append([]byte{99, 98}, want...), limits: limits}
			got := make([]byte, len(want))
			n, err := s.mover(false).fullv(pieces(got, shape...), 2)
			if n != len(want) || err != nil || !bytes.Equal(got, want) {
				t.Fatalf("read with limits %v: %d, %v, % x", limits, n, err, got)
			}

			s = &shaky{data: make([]byte, 2+len(want)), limits: limits}
			n, err = s.mover(true).fullv(pieces(want, shape...), 2)
			if n != len(want) || err != nil || !bytes.Equal(s.data[2:], want) {
				t.Fatalf("write with limits %v: %d, %v, % x", limits, n, err, s.data)
			}
		}
	}
}

// TestErrorInMidVector fails the call after every possible count: what was reported as written is what was written.
func TestErrorInMidVector(t *testing.T) {
	want := bytes.Repeat([]byte{0xa5}, 40)
	for first := 1; first < len(want); first++ {
		s := &shaky{data: make([]byte, len(want)), limits: []int{first, -1}}
		n, err := s.mover(true).fullv(pieces(want, 3, 1, 7, 16), 0)
		if n != first || !errors.Is(err, errFault) {
			t.Fatalf("error after %d bytes: %d, %v", first, n, err)
		}
		if !bytes.Equal(s.data[:n], want[:n]) || bytes.Contains(s.data[n:], want[:1]) {
			t.Fatalf("error after %d bytes: % x", first, s.data)
		}
	}
}

func TestEndOfFile(t *testing.T) {
	want := []byte("0123456789")
	for size := range want {
		for _, limits := range [][]int{nil, {1}, {4, 2}} {
			s := &shaky{data: want[:size], limits: limits}
			got := make([]byte, len(want))
			n, err := s.mover(false).fullv(pieces(got, 4, 0, 3), 0)
			if n != size || err != io.EOF || !bytes.Equal(got[:n], want[:n]) {
				t.Fatalf("size %d, limits %v: %d, %v, %q", size, limits, n, err, got)
			}
		}
	}
}

func TestManyPieces(t *testing.T) {
	want := make([]byte, 3*maxVector+5)
	for i := range want {
		want[i] = byte(rand.Int())
	}
	var bufs [][]byte
	got := make([]byte, len(want))
	for i := range got {
		bufs = append(bufs, got[i:i+1])
	}
	s := &shaky{data: want}
	if n, err := s.mover(false).fullv(bufs, 0); n != len(want) || err != nil || !bytes.Equal(got, want) {
		t.Fatalf("%d, %v, equal: %v", n, err, bytes.Equal(got, want))
	}
	if s.calls != 4 {
		t.Errorf("%d calls for %d pieces", s.calls, len(bufs))
	}
	if n, err := s.mover(false).fullv([][]byte{nil, {}, nil}, 0); n != 0 || err != nil {
		t.Errorf("empty pieces: %d, %v", n, err)
	}
}

// FuzzTransfers compares transfers of any shape over a file that stops anywhere with plain copies.
func FuzzTransfers(f *testing.F) {
	f.Add([]byte{3, 0, 7}, []byte{2, 9}, uint16(5), true)
	f.Add([]byte{255, 255}, []byte{}, uint16(600), false)
	f.Fuzz(func(t *testing.T, shape, stops []byte, size uint16, write bool) {
		var bufs [][]byte
		length := 0
		for _, n := range shape {
			p := make([]byte, n)
			for i := range p {
				p[i] = byte(length + i)
			}
			bufs = append(bufs, p)
			length += int(n)
		}
		limits := make([]int, len(stops))
		for i, n := range stops {
			limits[i] = int(n) + 1
		}
		s := &shaky{data: make([]byte, size), limits: limits}
		for i := range s.data {
			s.data[i] = byte(^i)
		}
		file := bytes.Clone(s.data)
		memory := bytes.Join(bufs, nil)
		var want int
		if write {
			want = copy(file, memory)
		} else {
			want = copy(memory, file)
		}
		n, err := s.mover(write).fullv(bufs, 0)
		if n != want || (err == io.EOF) != (want < length) || err != nil && err != io.EOF {
			t.Fatalf("%d, %v: want %d of %d bytes", n, err, want, length)
		}
		if !bytes.Equal(s.data, file) || !bytes.Equal(bytes.Join(bufs, nil), memory) {
			t.Fatal("bytes differ")
		}
	})
}
