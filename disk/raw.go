package disk

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"

	"github.com/husk-vm/husk/internal/hostos"
)

// ErrLocked means that another process, or another Image of this one, has the image open: for writing, or at all if it
// is to be opened for writing.
var ErrLocked = errors.New("in use by another process")

// Flags say how to open an image.
type Flags uint8

// ReadOnly opens an image for reading, beside any number of other readers.
const ReadOnly Flags = 1 << 0

// sectorBytes is what every size is rounded up to: a guest sees whole sectors only.
const sectorBytes = 512

// maxSize keeps sums of an offset and a length far from overflow; the file systems of our hosts end at 8 EiB less a page.
const maxSize = 1<<62 - sectorBytes

// Raw is a raw image: a file or block device whose bytes are the disk's. Make one with [OpenRaw].
//
// It has the optional capabilities of a disk: ReadvAt, WritevAt, Discard and WriteZeroes. Methods may be called from
// several goroutines at once.
type Raw struct {
	f        file
	name     string
	readOnly bool
	device   bool         // a block device: its size is fixed
	size     atomic.Int64 // bytes, whole sectors
	tail     atomic.Int64 // how much shorter than size the file may be
	in, out  mover

	noPunch, noZero atomic.Bool // the file system said that it cannot do that

	syncMu  sync.Mutex // held during the system call too: the host gives an error to one of two callers only
	syncErr error      // the first error of Sync; guarded by syncMu
}

// file is what Raw needs of the host. Reads and writes are as those of [mover].
type file interface {
	pread(p []byte, off int64) (int, error)
	pwrite(p []byte, off int64) (int, error)
	preadv(bufs [][]byte, off int64) (int, error)
	pwritev(bufs [][]byte, off int64) (int, error)
	datasync() error
	// punch makes n bytes from off on a hole; zero makes them zeros that keep their storage. Neither changes the file's
	// size. An error that satisfies errors.Is(err, errors.ErrUnsupported) means that there is no quick way.
	punch(off, n int64) error
	zero(off, n int64) error
	truncate(size int64) error
	Close() error
}

// OpenRaw opens the raw image at path, a file or a block device that exists, and locks it: one writer or many readers.
// A second opener gets ErrLocked, if the host has locks at all.
//
// A file whose length is no multiple of 512 appears rounded up: what is missing of its last sector reads as zeros, and
// the first write there makes the file longer.
func OpenRaw(path string, flags Flags) (*Raw, error) {
	r, err := openRaw(path, flags&ReadOnly != 0)
	if err != nil {
		if pe := (*fs.PathError)(nil); errors.As(err, &pe) {
			err = pe.Err // the path is in our text
		}
		return nil, fmt.Errorf("disk: open %s: %w", path, err)
	}
	return r, nil
}

func openRaw(path string, readOnly bool) (*Raw, error) {
	// Looked at first: opening a pipe would wait for a writer, opening a terminal may take it over.
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	device, err := checkMode(info.Mode())
	if err != nil {
		return nil, err
	}
	mode := os.O_RDWR
	if readOnly {
		mode = os.O_RDONLY
	} else if device {
		mode |= os.O_EXCL // Linux then refuses a device that is mounted
	}
	f, err := os.OpenFile(path, mode, 0)
	if err != nil {
		return nil, err
	}
	r, err := newRaw(f, path, readOnly)
	if err != nil {
		f.Close() // nothing was written
		return nil, err
	}
	return r, nil
}

// checkMode reports whether m is a block device; what is neither that nor a file is an error.
func checkMode(m fs.FileMode) (device bool, err error) {
	switch {
	case m.IsRegular():
		return false, nil
	case m.IsDir():
		return false, errors.New("is a directory")
	case m&fs.ModeDevice != 0 && m&fs.ModeCharDevice == 0:
		return true, nil
	}
	return false, errors.New("is neither a file nor a block device")
}

// newRaw makes a Raw of an open file, which it takes over if there is no error.
func newRaw(f *os.File, name string, readOnly bool) (*Raw, error) {
	lock := hostos.LockExclusive
	if readOnly {
		lock = hostos.LockShared
	}
	switch err := lock(f); {
	case errors.Is(err, hostos.ErrLocked):
		return nil, ErrLocked
	case err != nil && !errors.Is(err, errors.ErrUnsupported):
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	device, err := checkMode(info.Mode())
	if err != nil {
		return nil, err
	}
	size := info.Size()
	if device {
		if size, err = f.Seek(0, io.SeekEnd); err == nil && size == 0 {
			err = errors.New("block device without a size, or without a medium")
		}
		if err != nil {
			return nil, err
		}
	}
	if size > maxSize {
		return nil, fmt.Errorf("%d bytes: too long", size)
	}
	h, err := newHostFile(f)
	if err != nil {
		return nil, err
	}
	return newRawOver(h, name, size, readOnly, device), nil
}

func newRawOver(f file, name string, size int64, readOnly, device bool) *Raw {
	r := &Raw{
		f: f, name: name, readOnly: readOnly, device: device,
		in:  mover{one: f.pread, many: f.preadv},
		out: mover{one: f.pwrite, many: f.pwritev},
	}
	r.size.Store(roundUp(size))
	r.tail.Store(roundUp(size) - size)
	return r
}

// roundUp rounds to whole sectors.
func roundUp(n int64) int64 { return (n + sectorBytes - 1) &^ (sectorBytes - 1) }

// Size is the length in bytes, a multiple of 512.
func (r *Raw) Size() int64 { return r.size.Load() }

// Name is the path that the image was opened with.
func (r *Raw) Name() string { return r.name }

// ReadAt fills p with the bytes from off on. At the end of the image the error is io.EOF.
func (r *Raw) ReadAt(p []byte, off int64) (int, error) {
	want, err := r.readable(off, int64(len(p)))
	if want == 0 {
		return 0, err
	}
	n, readErr := r.in.full(p[:want], off)
	if readErr == io.EOF && r.inTail(off+int64(n)) {
		clear(p[n:want])
		n, readErr = int(want), nil
	}
	if readErr == io.EOF {
		readErr = io.ErrUnexpectedEOF // the file is shorter than it was
	}
	if readErr != nil {
		return n, r.failed("read", readErr)
	}
	return n, err
}

// ReadvAt fills bufs in order with the bytes from off on, as one ReadAt would.
func (r *Raw) ReadvAt(bufs [][]byte, off int64) (int, error) {
	length := total(bufs)
	want, err := r.readable(off, length)
	if want == 0 {
		return 0, err
	}
	if want < length {
		return r.readPieces(bufs, off) // over the end: rare enough to go piece by piece
	}
	n, readErr := r.in.fullv(bufs, off)
	if readErr == io.EOF && r.inTail(off+int64(n)) {
		skip := n
		for _, p := range bufs {
			k := min(skip, len(p))
			clear(p[k:])
			skip -= k
		}
		n, readErr = int(want), nil
	}
	if readErr == io.EOF {
		readErr = io.ErrUnexpectedEOF // the file is shorter than it was
	}
	if readErr != nil {
		return n, r.failed("read", readErr)
	}
	return n, nil
}

func (r *Raw) readPieces(bufs [][]byte, off int64) (int, error) {
	done := 0
	for _, p := range bufs {
		n, err := r.ReadAt(p, off+int64(done))
		if done += n; err != nil {
			return done, err
		}
	}
	return done, nil
}

// readable is how many of n bytes from off on lie in the image; the error, io.EOF, says that some do not.
func (r *Raw) readable(off, n int64) (int64, error) {
	size := r.Size()
	switch {
	case off < 0:
		return 0, r.failed("read", errors.New("negative offset"))
	case n == 0:
		return 0, nil
	case off >= size:
		return 0, io.EOF
	case n > size-off:
		return size - off, io.EOF
	}
	return n, nil
}

// inTail reports whether the file may end at off, because its length was no whole number of sectors. If it ends
// elsewhere, somebody else made it shorter.
func (r *Raw) inTail(off int64) bool { return r.Size()-off <= r.tail.Load() }

// WriteAt writes p from off on, all of which must lie in the image.
func (r *Raw) WriteAt(p []byte, off int64) (int, error) {
	if err := r.writable("write", off, int64(len(p))); err != nil {
		return 0, err
	}
	n, err := r.out.full(p, off)
	return n, r.wrote(err)
}

// WritevAt writes bufs in order from off on, as one WriteAt would.
func (r *Raw) WritevAt(bufs [][]byte, off int64) (int, error) {
	if err := r.writable("write", off, total(bufs)); err != nil {
		return 0, err
	}
	n, err := r.out.fullv(bufs, off)
	return n, r.wrote(err)
}

// wrote is the result of a write that ended with err.
func (r *Raw) wrote(err error) error {
	if err == io.EOF {
		err = io.ErrShortWrite // a write of 0 bytes
	}
	return r.failed("write", err)
}

// writable returns an error unless the image may be changed from off on for n bytes.
func (r *Raw) writable(op string, off, n int64) error {
	switch size := r.Size(); {
	case r.readOnly:
		return r.failed(op, errors.New("opened read-only"))
	case off < 0 || n < 0:
		return r.failed(op, errors.New("negative offset or length"))
	case off > size || n > size-off:
		return r.failed(op, fmt.Errorf("%d bytes at %d: beyond the end at %d", n, off, size))
	}
	return nil
}

// Sync makes every write that has returned survive a power cut.
//
// Once it failed it fails for ever: the host may have dropped any write since the last Sync that succeeded, and tells
// only once. A caller that tries again until it works would take lost data for stored.
func (r *Raw) Sync() error {
	r.syncMu.Lock()
	defer r.syncMu.Unlock()
	if r.syncErr == nil {
		r.syncErr = r.failed("sync", r.f.datasync())
	}
	return r.syncErr
}

// Resize makes the image size bytes long, rounded up to whole sectors. New bytes are zeros. A block device keeps its
// size: the error satisfies errors.Is(err, errors.ErrUnsupported). One call at a time.
func (r *Raw) Resize(size int64) error {
	switch {
	case r.readOnly:
		return r.failed("resize", errors.New("opened read-only"))
	case r.device:
		return r.failed("resize", fmt.Errorf("block device: %w", errors.ErrUnsupported))
	case size < 0 || size > maxSize:
		return r.failed("resize", fmt.Errorf("%d bytes: no such size", size))
	}
	size = roundUp(size)
	old := r.Size()
	r.size.Store(min(size, old)) // first: no read in between finds the file shorter than promised
	if err := r.f.truncate(size); err != nil {
		r.size.Store(old)
		return r.failed("resize", err)
	}
	r.tail.Store(0)
	r.size.Store(size)
	return nil
}

// Close releases the lock and the file. It does not Sync.
func (r *Raw) Close() error { return r.failed("close", r.f.Close()) }

// failed adds what was done to which image to err, or returns nil.
func (r *Raw) failed(op string, err error) error {
	if err == nil {
		return nil
	}
	if pe := (*fs.PathError)(nil); errors.As(err, &pe) {
		err = pe.Err
	}
	return fmt.Errorf("disk: %s %s: %w", op, r.name, err)
}
