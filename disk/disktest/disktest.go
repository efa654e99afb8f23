// Package disktest is what every image format of package disk has to pass.
//
// Owns: Run, Image.
// Must not know: formats.
// Stability: as package disk.
package disktest

import (
	"errors"
	"io"
	"math"
	"testing"

	"github.com/husk-vm/husk/disk"
)

// Image is what a disk needs of an image. Optional capabilities are found as methods: ReadvAt, WritevAt, Discard and
// WriteZeroes, with the signatures of [disk.Raw].
type Image interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Size() int64
	Sync() error
}

// Create makes an image of size bytes that read as zeros and returns how to open it. Errors of open are the format's.
type Create func(t *testing.T, size int64) (open func(flags disk.Flags) (Image, error))

type vectorReader interface {
	ReadvAt(bufs [][]byte, off int64) (int, error)
}

type vectorWriter interface {
	WritevAt(bufs [][]byte, off int64) (int, error)
}

type discarder interface {
	Discard(off, n int64) error
}

type zeroer interface {
	WriteZeroes(off, n int64, unmap bool) error
}

// Run tests the format that create makes.
func Run(t *testing.T, create Create) {
	t.Run("Zeros", func(t *testing.T) { testZeros(t, create) })
	t.Run("Bounds", func(t *testing.T) { testBounds(t, create) })
	t.Run("Model", func(t *testing.T) { testModel(t, create) })
	t.Run("Vectors", func(t *testing.T) { testVectors(t, create) })
	t.Run("ReadOnly", func(t *testing.T) { testReadOnly(t, create) })
	t.Run("Lock", func(t *testing.T) { testLock(t, create) })
	t.Run("Concurrent", func(t *testing.T) { testConcurrent(t, create) })
}

// open opens an image for one test.
func open(t *testing.T, open func(disk.Flags) (Image, error), flags disk.Flags) Image {
	t.Helper()
	img, err := open(flags)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { img.Close() }) // again where the test did: an error then is fine
	return img
}

func testZeros(t *testing.T, create Create) {
	const size = 3 << 20
	img := open(t, create(t, size), 0)
	if img.Size() != size {
		t.Fatalf("size %d, want %d", img.Size(), size)
	}
	got := make([]byte, size)
	got[0], got[size-1] = 1, 1
	if n, err := img.ReadAt(got, 0); n != size || err != nil && err != io.EOF {
		t.Fatalf("read: %d, %v", n, err)
	}
	for i, b := range got {
		if b != 0 {
			t.Fatalf("byte %d of a new image is %#x", i, b)
		}
	}
}

func testBounds(t *testing.T, create Create) {
	const size = 64 << 10
	img := open(t, create(t, size), 0)
	for _, c := range []struct {
		off     int64
		n, want int
	}{
		{0, 0, 0},
		{size, 0, 0},
		{size - 1, 1, 1},
		{size - 1, 2, 1},
		{size - 512, 1024, 512},
		{size, 1, 0},
		{size + 1, 1, 0},
		{math.MaxInt64, 1, 0},
		{math.MaxInt64 - 1, 4, 0},
		{-1, 1, 0},
		{math.MinInt64, 4, 0},
	} {
		n, err := img.ReadAt(make([]byte, c.n), c.off)
		if n != c.want || n < c.n && err == nil {
			t.Errorf("read %d at %d: %d, %v; want %d", c.n, c.off, n, err, c.want)
		}
		if c.off >= 0 && n < c.n && err != io.EOF {
			t.Errorf("read %d at %d: %v, want EOF", c.n, c.off, err)
		}
		n, err = img.WriteAt(make([]byte, c.n), c.off)
		if whole := c.want == c.n; whole && (n != c.n || err != nil) || !whole && (n != 0 || err == nil) {
			t.Errorf("write %d at %d: %d, %v", c.n, c.off, n, err)
		}
		z, ok := img.(zeroer)
		if !ok {
			continue
		}
		if err := z.WriteZeroes(c.off, int64(c.n), true); (err == nil) != (c.want == c.n) {
			t.Errorf("write zeroes %d at %d: %v", c.n, c.off, err)
		}
	}
	if z, ok := img.(zeroer); ok && z.WriteZeroes(512, math.MaxInt64, false) == nil {
		t.Error("write zeroes over the end of int64: no error")
	}
	if d, ok := img.(discarder); ok && (d.Discard(512, math.MaxInt64) == nil || d.Discard(0, size+512) == nil || d.Discard(512, -512) == nil) {
		t.Error("discard over the end: no error")
	}
	if img.Size() != size {
		t.Errorf("size %d afterwards, want %d", img.Size(), size)
	}
}

func testReadOnly(t *testing.T, create Create) {
	const size = 64 << 10
	opener := create(t, size)
	img := open(t, opener, 0)
	if _, err := img.WriteAt([]byte("kept"), 512); err != nil {
		t.Fatal(err)
	}
	if err := img.Close(); err != nil {
		t.Fatal(err)
	}
	img = open(t, opener, disk.ReadOnly)
	if n, err := img.WriteAt([]byte("lost"), 512); n != 0 || err == nil {
		t.Errorf("write: %d, %v", n, err)
	}
	if w, ok := img.(vectorWriter); ok {
		if n, err := w.WritevAt([][]byte{[]byte("lo"), []byte("st")}, 512); n != 0 || err == nil {
			t.Errorf("vector write: %d, %v", n, err)
		}
	}
	if d, ok := img.(discarder); ok && d.Discard(0, 4096) == nil {
		t.Error("discard: no error")
	}
	if z, ok := img.(zeroer); ok && z.WriteZeroes(0, 4096, false) == nil {
		t.Error("write zeroes: no error")
	}
	got := make([]byte, 4)
	if _, err := img.ReadAt(got, 512); err != nil || string(got) != "kept" {
		t.Errorf("read %q, %v", got, err)
	}
	if err := img.Sync(); err != nil {
		t.Errorf("sync: %v", err)
	}
}

func testLock(t *testing.T, create Create) {
	opener := create(t, 64<<10)
	refused := func(flags disk.Flags) {
		t.Helper()
		if img, err := opener(flags); !errors.Is(err, disk.ErrLocked) {
			if err == nil {
				img.Close()
			}
			t.Errorf("second opener, flags %b: %v", flags, err)
		}
	}
	writer := open(t, opener, 0)
	refused(0)
	refused(disk.ReadOnly)
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, opener, disk.ReadOnly)
	open(t, opener, disk.ReadOnly)
	refused(0)
}
