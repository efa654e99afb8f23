package hostos

import (
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// maxVectors is the kernel's UIO_MAXIOV: it refuses more pieces in one call.
const maxVectors = 1024

// Vectors is the kernel's form of a list of buffers, kept from call to call so that nothing is allocated. The zero value
// is ready. One goroutine at a time.
type Vectors struct {
	iov []unix.Iovec
}

// Preadv reads into bufs, one after the other, from off on. It returns how many bytes came; fewer than there is room
// for, without an error, means that the file ends there, that there were more than 1024 pieces, or that the kernel
// stopped early: ask again for the rest.
func (v *Vectors) Preadv(f *FD, bufs [][]byte, off int64) (int, error) {
	return v.transfer(unix.SYS_PREADV, "preadv", f, bufs, off)
}

// Pwritev writes bufs, one after the other, from off on. What it returns is as for Preadv.
func (v *Vectors) Pwritev(f *FD, bufs [][]byte, off int64) (int, error) {
	return v.transfer(unix.SYS_PWRITEV, "pwritev", f, bufs, off)
}

// transfer is ssize_t preadv(int fd, const struct iovec *iov, int iovcnt, unsigned long pos_l, unsigned long pos_h), or
// its counterpart.
func (v *Vectors) transfer(nr uintptr, name string, f *FD, bufs [][]byte, off int64) (int, error) {
	v.iov = v.iov[:0]
	for _, p := range bufs {
		if len(p) == 0 {
			continue
		}
		if len(v.iov) == maxVectors {
			break
		}
		e := unix.Iovec{Base: unsafe.SliceData(p)}
		e.SetLen(len(p))
		v.iov = append(v.iov, e)
	}
	if len(v.iov) == 0 {
		return 0, nil
	}
	fd, err := f.Acquire()
	if err != nil {
		return 0, err
	}
	defer f.Release()
	for {
		// Safety: v.iov is on the heap and holds a pointer to every buffer as such, so all of them stay where they are; the
		// lengths are those of the slices; the conversion stands in the argument list of the system call.
		n, _, errno := unix.Syscall6(nr, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(v.iov))),
			uintptr(len(v.iov)), uintptr(off), uintptr(off>>32), 0)
		if errno == unix.EINTR { // which means that nothing was transferred
			continue
		}
		runtime.KeepAlive(bufs)
		clear(v.iov) // do not hold on to the caller's buffers
		if errno != 0 {
			return 0, os.NewSyscallError(name, errno)
		}
		return int(n), nil
	}
}
