package hostos

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// DupFD returns a descriptor of its own for what f has open: same file, same locks.
func DupFD(f *os.File) (*FD, error) {
	c, err := f.SyscallConn()
	if err != nil {
		return nil, err
	}
	fd, dupErr := -1, error(nil)
	if err := c.Control(func(n uintptr) { fd, dupErr = unix.FcntlInt(n, unix.F_DUPFD_CLOEXEC, 0) }); err != nil {
		return nil, err
	}
	if dupErr != nil {
		return nil, fmt.Errorf("hostos: duplicate %s: %w", f.Name(), os.NewSyscallError("fcntl", dupErr))
	}
	return NewFD(fd), nil
}

// again calls do until it is not interrupted. It is for calls that did nothing if they return EINTR: a transfer that was
// interrupted later says how much it moved.
func again(f *FD, do func(fd int) error) error {
	fd, err := f.Acquire()
	if err != nil {
		return err
	}
	defer f.Release()
	for {
		if err := do(fd); err != unix.EINTR {
			return err
		}
	}
}

// Pread is one pread(2): it may read fewer bytes than p has, and 0 at the end of the file.
func (f *FD) Pread(p []byte, off int64) (n int, err error) {
	err = again(f, func(fd int) error {
		n, err = unix.Pread(fd, p, off)
		return err
	})
	return max(n, 0), os.NewSyscallError("pread", err)
}

// Pwrite is one pwrite(2): it may write fewer bytes than p has.
func (f *FD) Pwrite(p []byte, off int64) (n int, err error) {
	err = again(f, func(fd int) error {
		n, err = unix.Pwrite(fd, p, off)
		return err
	})
	return max(n, 0), os.NewSyscallError("pwrite", err)
}

// Datasync makes the file's bytes, and its length if that is needed to read them, survive a power cut: fdatasync(2).
func (f *FD) Datasync() error {
	return os.NewSyscallError("fdatasync", again(f, unix.Fdatasync))
}

// Truncate sets the file's length.
func (f *FD) Truncate(size int64) error {
	return os.NewSyscallError("ftruncate", again(f, func(fd int) error { return unix.Ftruncate(fd, size) }))
}

// PunchHole gives the storage of n bytes from off on back; they read as zeros. The file's length stays. The error
// satisfies errors.Is(err, errors.ErrUnsupported) where the file system cannot do that.
func (f *FD) PunchHole(off, n int64) error {
	return f.fallocate(unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, off, n)
}

// ZeroRange makes n bytes from off on zeros without writing them; they keep their storage or get some. The file's length
// stays. Errors are as those of PunchHole.
func (f *FD) ZeroRange(off, n int64) error {
	return f.fallocate(unix.FALLOC_FL_ZERO_RANGE|unix.FALLOC_FL_KEEP_SIZE, off, n)
}

func (f *FD) fallocate(mode uint32, off, n int64) error {
	return os.NewSyscallError("fallocate", again(f, func(fd int) error { return unix.Fallocate(fd, mode, off, n) }))
}
