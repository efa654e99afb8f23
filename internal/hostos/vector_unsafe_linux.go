package hostos

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// maxVector is IOV_MAX, the most pieces that the kernel takes in one call.
const maxVector = 1024

// Vector is the table of pieces that vectored calls hand to the kernel, kept so that no call allocates one. The zero
// value is ready; it is for one call at a time, and holds no pieces between calls.
type Vector struct {
	iov [maxVector]unix.Iovec
}

// Preadv is one preadv(2): it fills bufs in order, at most the first 1024 of them, with the file's bytes from off on. It
// may stop anywhere, also within a piece, and reads 0 bytes at the end of the file.
//
//	ssize_t preadv(int fd, const struct iovec *iov, int iovcnt, off_t offset);
func (f *FD) Preadv(v *Vector, bufs [][]byte, off int64) (int, error) {
	n, err := f.vectored(unix.SYS_PREADV, v, bufs, off)
	return n, os.NewSyscallError("preadv", err)
}

// Pwritev is one pwritev(2), otherwise as Preadv.
//
//	ssize_t pwritev(int fd, const struct iovec *iov, int iovcnt, off_t offset);
func (f *FD) Pwritev(v *Vector, bufs [][]byte, off int64) (int, error) {
	n, err := f.vectored(unix.SYS_PWRITEV, v, bufs, off)
	return n, os.NewSyscallError("pwritev", err)
}

func (f *FD) vectored(call uintptr, v *Vector, bufs [][]byte, off int64) (int, error) {
	fd, err := f.Acquire()
	if err != nil {
		return 0, err
	}
	defer f.Release()
	bufs = bufs[:min(len(bufs), maxVector)]
	for i, p := range bufs {
		v.iov[i].Base = unsafe.SliceData(p) // Safety: a typed pointer: p's memory lives until it is cleared below
		v.iov[i].SetLen(len(p))
	}
	defer clear(v.iov[:len(bufs)]) // no piece outlives the call
	for {
		// Safety: v is on the heap or kept here by its use below; the conversion is in the call itself. The offset goes in
		// two halves, the upper of which a 64-bit kernel does not look at.
		n, _, errno := unix.Syscall6(call, uintptr(fd), uintptr(unsafe.Pointer(&v.iov[0])), uintptr(len(bufs)), uintptr(off), uintptr(off>>32), 0)
		switch errno {
		case 0:
			return int(n), nil
		case unix.EINTR: // nothing was moved: an interrupted transfer says how much it moved
		default:
			return 0, errno
		}
	}
}
