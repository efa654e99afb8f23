package disk

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"syscall"
	"testing"
)

// faulty is a file in memory that fails where it is told to.
type faulty struct {
	shaky
	syncErrs        []error // of the calls of datasync, in order; then none
	punchErr        error
	zeroErr         error
	writeErr        error
	punches, zeroes int
}

func (f *faulty) pread(p []byte, off int64) (int, error)    { return f.mover(false).one(p, off) }
func (f *faulty) preadv(b [][]byte, off int64) (int, error) { return f.mover(false).many(b, off) }
func (f *faulty) pwritev(b [][]byte, off int64) (int, error) {
	return f.write(total(b), f.mover(true), b, off)
}

func (f *faulty) pwrite(p []byte, off int64) (int, error) {
	return f.write(int64(len(p)), f.mover(true), [][]byte{p}, off)
}
func (f *faulty) truncate(size int64) error { return errFault }
func (f *faulty) Close() error              { return nil }

func (f *faulty) write(n int64, m *mover, b [][]byte, off int64) (int, error) {
	if f.writeErr != nil {
		return 0, f.writeErr
	}
	if end := off + n; end > int64(len(f.data)) { // a file grows
		f.data = append(f.data, make([]byte, end-int64(len(f.data)))...)
	}
	return m.many(b, off)
}

func (f *faulty) datasync() (err error) {
	if len(f.syncErrs) > 0 {
		err, f.syncErrs = f.syncErrs[0], f.syncErrs[1:]
	}
	return err
}

func (f *faulty) punch(off, n int64) error {
	f.punches++
	if f.punchErr == nil {
		clear(f.data[off : off+n])
	}
	return f.punchErr
}

func (f *faulty) zero(off, n int64) error {
	f.zeroes++
	if f.zeroErr == nil {
		clear(f.data[off : off+n])
	}
	return f.zeroErr
}

// TestSyncStaysFailed: the host reports lost writes once, and so the image goes on reporting them.
func TestSyncStaysFailed(t *testing.T) {
	f := &faulty{shaky: shaky{data: make([]byte, 512)}, syncErrs: []error{nil, syscall.EIO, nil}}
	r := newRawOver(f, "img", 512, false, false)
	for i, want := range []error{nil, syscall.EIO, syscall.EIO, syscall.EIO} {
		if err := r.Sync(); !errors.Is(err, want) {
			t.Errorf("call %d: %v, want %v", i, err, want)
		}
	}
	if err := r.Sync(); err.Error() != "disk: sync img: input/output error" {
		t.Errorf("text %q", err)
	}
}

func TestWriteErrors(t *testing.T) {
	f := &faulty{shaky: shaky{data: make([]byte, 4096)}, writeErr: syscall.ENOSPC}
	r := newRawOver(f, "img", 4096, false, false)
	if n, err := r.WriteAt(make([]byte, 512), 0); n != 0 || !errors.Is(err, syscall.ENOSPC) || err.Error() != "disk: write img: no space left on device" {
		t.Errorf("%d, %v", n, err)
	}
	f.writeErr = nil
	f.limits = []int{100, 0}
	if n, err := r.WriteAt(make([]byte, 512), 0); n != 100 || !errors.Is(err, io.ErrShortWrite) {
		t.Errorf("a write that stops: %d, %v", n, err)
	}
	if err := r.Resize(8192); !errors.Is(err, errFault) || r.Size() != 4096 {
		t.Errorf("resize: %v, size %d", err, r.Size())
	}
	if err := r.Resize(512); !errors.Is(err, errFault) || r.Size() != 4096 {
		t.Errorf("resize: %v, size %d", err, r.Size())
	}
}

// TestZeroFallbacks goes through what file systems can and cannot do; the bytes are zeros each time, and what is not
// supported is asked for once.
func TestZeroFallbacks(t *testing.T) {
	unsupported := fmt.Errorf("fallocate: %w", syscall.EOPNOTSUPP)
	for _, c := range []struct {
		name              string
		punchErr, zeroErr error
		unmap             bool
		punches, zeroes   int // in two calls
		err               error
	}{
		{name: "zero range", zeroes: 2},
		{name: "hole", unmap: true, punches: 2},
		{name: "no holes", unmap: true, punchErr: unsupported, punches: 1, zeroes: 2},
		{name: "nothing", unmap: true, punchErr: unsupported, zeroErr: unsupported, punches: 1, zeroes: 1},
		{name: "no zero range", zeroErr: unsupported, zeroes: 1},
		{name: "disk full", zeroErr: syscall.ENOSPC, zeroes: 2, err: syscall.ENOSPC},
		{name: "broken disk", unmap: true, punchErr: syscall.EIO, punches: 2, err: syscall.EIO},
	} {
		t.Run(c.name, func(t *testing.T) {
			const size = 1 << 20
			f := &faulty{shaky: shaky{data: bytes.Repeat([]byte{1}, size)}, punchErr: c.punchErr, zeroErr: c.zeroErr}
			r := newRawOver(f, "img", size, false, false)
			for i := range int64(2) {
				if err := r.WriteZeroes(512+i*512*1000, 512*1000, c.unmap); !errors.Is(err, c.err) {
					t.Errorf("%v, want %v", err, c.err)
				}
			}
			if f.punches != c.punches || f.zeroes != c.zeroes {
				t.Errorf("%d punches, %d zero ranges; want %d, %d", f.punches, f.zeroes, c.punches, c.zeroes)
			}
			if c.err != nil {
				return
			}
			want := bytes.Repeat([]byte{1}, size)
			clear(want[512 : 512+2*512*1000])
			if !bytes.Equal(f.data, want) {
				t.Error("bytes differ")
			}
		})
	}
	f := &faulty{shaky: shaky{data: make([]byte, 4096)}, punchErr: unsupported}
	r := newRawOver(f, "img", 4096, false, false)
	for range 2 {
		if err := r.Discard(0, 4096); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("discard: %v", err)
		}
	}
	if f.punches != 1 {
		t.Errorf("%d punches", f.punches)
	}
}

// TestOddLength is about files that end within a sector, and files that somebody made shorter.
func TestOddLength(t *testing.T) {
	const length = 1000 // 24 bytes are missing of the second sector
	image := bytes.Repeat([]byte{9}, length)
	for _, limits := range [][]int{nil, {1}, {999}, {512, 100}} {
		f := &faulty{shaky: shaky{data: bytes.Clone(image), limits: limits}}
		r := newRawOver(f, "img", length, false, false)
		if r.Size() != 1024 {
			t.Fatalf("size %d", r.Size())
		}
		want := append(bytes.Clone(image), make([]byte, 24)...)
		got := bytes.Repeat([]byte{0xff}, 1024)
		if n, err := r.ReadAt(got, 0); n != 1024 || err != nil || !bytes.Equal(got, want) {
			t.Errorf("limits %v: read %d, %v", limits, n, err)
		}
		f.calls = 0
		got = bytes.Repeat([]byte{0xff}, 1024)
		if n, err := r.ReadvAt(pieces(got, 3, 990, 0, 15, 10), 0); n != 1024 || err != nil || !bytes.Equal(got, want) {
			t.Errorf("limits %v: vector read %d, %v", limits, n, err)
		}
		f.calls = 0
		if n, err := r.ReadAt(got[:2], 1020); n != 2 || err != nil || got[0] != 0 {
			t.Errorf("limits %v: read of the missing part: %d, %v", limits, n, err)
		}
		f.limits = nil
		if n, err := r.WriteAt([]byte("end"), 1021); n != 3 || err != nil {
			t.Errorf("limits %v: write of the missing part: %d, %v", limits, n, err)
		}
		copy(want[1021:], "end")
		if n, err := r.ReadAt(got, 0); n != 1024 || err != nil || !bytes.Equal(got, want) {
			t.Errorf("limits %v: read after the write: %d, %v", limits, n, err)
		}
		f.data = f.data[:700]
		if n, err := r.ReadAt(got, 0); n != 700 || !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("limits %v: read of a file made shorter: %d, %v", limits, n, err)
		}
		if n, err := r.ReadvAt([][]byte{got[:10], got[10:]}, 0); n != 700 || !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("limits %v: vector read of a file made shorter: %d, %v", limits, n, err)
		}
	}
	r := newRawOver(&faulty{shaky: shaky{data: make([]byte, 1023)}}, "img", 1024, false, false)
	if n, err := r.ReadAt(make([]byte, 1024), 0); n != 1023 || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a file of whole sectors made one byte shorter: %d, %v", n, err)
	}
}
