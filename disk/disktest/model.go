package disktest

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
)

// testModel does random operations on an image and on a slice, and compares, also after closing and opening again.
func testModel(t *testing.T, create Create) {
	const size = 256<<10 + 512*7
	const steps = 1600
	for seed := range uint64(3) {
		opener := create(t, size)
		m := &model{t: t, rnd: rand.New(rand.NewPCG(seed, 1)), img: open(t, opener, 0), want: make([]byte, size)}
		for step := range steps {
			m.step()
			if step%(steps/4) != steps/4-1 {
				continue
			}
			m.compare(0, size)
			if err := m.img.Sync(); err != nil {
				t.Fatal(err)
			}
			if err := m.img.Close(); err != nil {
				t.Fatal(err)
			}
			m.img = open(t, opener, 0)
			m.compare(0, size)
		}
		m.img.Close()
	}
}

type model struct {
	t    *testing.T
	rnd  *rand.Rand
	img  Image
	want []byte
}

// region picks a piece of the image: mostly small, often at sector and 4 KiB borders, in units of unit.
func (m *model) region(unit int) (off, n int) {
	size := len(m.want) / unit
	n = 1 + m.rnd.IntN([]int{1, 8, 64, size / 4}[m.rnd.IntN(4)])
	n = min(n, size)
	off = m.rnd.IntN(size - n + 1)
	if m.rnd.IntN(2) == 0 {
		off &^= min(4096/unit-1, 7)
	}
	return off * unit, n * unit
}

func (m *model) step() {
	unit := []int{1, 512}[m.rnd.IntN(2)]
	switch m.rnd.IntN(8) {
	case 0, 1:
		off, n := m.region(unit)
		m.compare(off, n)
	case 2, 3:
		off, n := m.region(unit)
		m.write(off, n, false)
	case 4:
		off, n := m.region(unit)
		m.write(off, n, true)
	case 5:
		off, n := m.region(unit)
		m.compareVector(off, n)
	case 6:
		off, n := m.region(512)
		m.writeZeroes(off, n)
	case 7:
		off, n := m.region(512)
		m.discard(off, n)
	}
}

func (m *model) compare(off, n int) {
	m.t.Helper()
	got := make([]byte, n)
	if k, err := m.img.ReadAt(got, int64(off)); k != n || err != nil && err != io.EOF {
		m.t.Fatalf("read %d at %d: %d, %v", n, off, k, err)
	}
	m.equal(got, off)
}

func (m *model) equal(got []byte, off int) {
	m.t.Helper()
	if bytes.Equal(got, m.want[off:off+len(got)]) {
		return
	}
	for i, b := range got {
		if b != m.want[off+i] {
			m.t.Fatalf("read %d at %d: byte %d is %#x, want %#x", len(got), off, off+i, b, m.want[off+i])
		}
	}
}

func (m *model) compareVector(off, n int) {
	v, ok := m.img.(vectorReader)
	if !ok {
		return
	}
	got := make([]byte, n)
	if k, err := v.ReadvAt(m.cut(got), int64(off)); k != n || err != nil && err != io.EOF {
		m.t.Fatalf("vector read %d at %d: %d, %v", n, off, k, err)
	}
	m.equal(got, off)
}

// cut splits p at random places, with empty pieces among them.
func (m *model) cut(p []byte) [][]byte {
	var bufs [][]byte
	for len(p) > 0 {
		n := min(len(p), m.rnd.IntN([]int{2, 600, 1 + len(p)}[m.rnd.IntN(3)]))
		bufs = append(bufs, p[:n:n])
		p = p[n:]
	}
	return bufs
}

func (m *model) write(off, n int, vector bool) {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(m.rnd.Uint32())
	}
	v, ok := m.img.(vectorWriter)
	var k int
	var err error
	if vector && ok {
		k, err = v.WritevAt(m.cut(p), int64(off))
	} else {
		k, err = m.img.WriteAt(p, int64(off))
	}
	if k != n || err != nil {
		m.t.Fatalf("write %d at %d: %d, %v", n, off, k, err)
	}
	copy(m.want[off:], p)
}

func (m *model) writeZeroes(off, n int) {
	z, ok := m.img.(zeroer)
	if !ok {
		return
	}
	if err := z.WriteZeroes(int64(off), int64(n), m.rnd.IntN(2) == 0); err != nil {
		m.t.Fatalf("write zeroes %d at %d: %v", n, off, err)
	}
	clear(m.want[off : off+n])
}

// discard takes what was discarded for what it then reads as, sector by sector: zeros, or what was there.
func (m *model) discard(off, n int) {
	d, ok := m.img.(discarder)
	if !ok {
		return
	}
	if err := d.Discard(int64(off), int64(n)); err != nil && !errors.Is(err, errors.ErrUnsupported) {
		m.t.Fatalf("discard %d at %d: %v", n, off, err)
	}
	var zero [512]byte
	for ; n > 0; off, n = off+512, n-512 {
		got := make([]byte, 512)
		if _, err := m.img.ReadAt(got, int64(off)); err != nil && err != io.EOF {
			m.t.Fatalf("read after discard: %v", err)
		}
		if !bytes.Equal(got, zero[:]) && !bytes.Equal(got, m.want[off:off+512]) {
			m.t.Fatalf("sector at %d after discard is neither zero nor what it was", off)
		}
		copy(m.want[off:], got)
	}
}

// testVectors moves more pieces than one system call takes, and none at all.
func testVectors(t *testing.T, create Create) {
	const size = 64 << 10
	img := open(t, create(t, size), 0)
	r, ok := img.(vectorReader)
	w, ok2 := img.(vectorWriter)
	if !ok || !ok2 {
		t.Skip("the format has no vectors")
	}
	for _, count := range []int{0, 1, 2, 1023, 1024, 1025, 3000} {
		data := make([]byte, count)
		var bufs, empty [][]byte
		for i := range data {
			data[i] = byte(i*7 + 1)
			bufs = append(bufs, data[i:i+1])
			empty = append(empty, nil)
		}
		if n, err := w.WritevAt(bufs, 100); n != count || err != nil {
			t.Fatalf("%d pieces: write: %d, %v", count, n, err)
		}
		want := bytes.Clone(data)
		clear(data)
		if n, err := r.ReadvAt(bufs, 100); n != count || err != nil || !bytes.Equal(data, want) {
			t.Fatalf("%d pieces: read: %d, %v, equal: %v", count, n, err, bytes.Equal(data, want))
		}
		for _, move := range []func([][]byte, int64) (int, error){r.ReadvAt, w.WritevAt} {
			if n, err := move(empty, 100); n != 0 || err != nil {
				t.Fatalf("%d empty pieces: %d, %v", count, n, err)
			}
		}
	}
	over := [][]byte{make([]byte, 512), make([]byte, 512)}
	if n, err := r.ReadvAt(over, size-512); n != 512 || err != io.EOF {
		t.Errorf("read over the end: %d, %v", n, err)
	}
	if n, err := w.WritevAt(over, size-512); n != 0 || err == nil {
		t.Errorf("write over the end: %d, %v", n, err)
	}
}

// testConcurrent lets several goroutines write their own stripes and read all of them back.
func testConcurrent(t *testing.T, create Create) {
	const workers, stripe, rounds = 4, 1536, 200
	img := open(t, create(t, workers*stripe*rounds), 0)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			p, got := make([]byte, stripe), make([]byte, stripe)
			for i := range rounds {
				for j := range p {
					p[j] = byte(w*31 + i + j)
				}
				off := int64((i*workers + w) * stripe)
				if _, err := img.WriteAt(p, off); err != nil {
					t.Error(err)
					return
				}
				if i%32 == 31 {
					if err := img.Sync(); err != nil {
						t.Error(err)
					}
				}
				if _, err := img.ReadAt(got, off); err != nil && err != io.EOF || !bytes.Equal(got, p) {
					t.Errorf("worker %d, round %d: %v, equal: %v", w, i, err, bytes.Equal(got, p))
					return
				}
			}
		})
	}
	wg.Wait()
}
