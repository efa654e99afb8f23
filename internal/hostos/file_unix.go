//go:build unix

package hostos

import (
	"os"

	"golang.org/x/sys/unix"
)

// DupFD makes an FD of its own for f's open file: offsets, flags and locks are shared, Close is not.
func DupFD(f *os.File) (*FD, error) {
	var dup int
	err := control(f, func(fd int) (err error) {
		dup, err = unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
		return err
	})
	if err != nil {
		return nil, &os.PathError{Op: "dup", Path: f.Name(), Err: err}
	}
	return NewFD(dup), nil
}

// Pread reads up to len(p) bytes from off on. Fewer, without an error, means that the file ends there or that the kernel
// stopped early: ask again. It does not allocate.
func (f *FD) Pread(p []byte, off int64) (int, error) {
	fd, err := f.Acquire()
	if err != nil {
		return 0, err
	}
	defer f.Release()
	for {
		n, err := unix.Pread(fd, p, off)
		if err == nil {
			return n, nil
		}
		if err != unix.EINTR { // which means that nothing was transferred
			return 0, os.NewSyscallError("pread", err)
		}
	}
}

// Pwrite writes up to len(p) bytes at off. Fewer, without an error, means that the kernel stopped early: ask again. It
// does not allocate.
func (f *FD) Pwrite(p []byte, off int64) (int, error) {
	fd, err := f.Acquire()
	if err != nil {
		return 0, err
	}
	defer f.Release()
	for {
		n, err := unix.Pwrite(fd, p, off)
		if err == nil {
			return n, nil
		}
		if err != unix.EINTR {
			return 0, os.NewSyscallError("pwrite", err)
		}
	}
}

// Truncate sets the length of a regular file, in bytes.
func (f *FD) Truncate(size int64) error {
	return f.do("ftruncate", func(fd int) error { return unix.Ftruncate(fd, size) })
}

// do calls fn with the descriptor until it is not interrupted.
func (f *FD) do(name string, fn func(fd int) error) error {
	fd, err := f.Acquire()
	if err != nil {
		return err
	}
	defer f.Release()
	for {
		if err := fn(fd); err != unix.EINTR {
			return os.NewSyscallError(name, err)
		}
	}
}
