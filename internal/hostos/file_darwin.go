package hostos

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// Datasync makes what was written survive a loss of power. Darwin's fsync leaves it in the drive's cache.
func (f *FD) Datasync() error {
	return f.do("fcntl", func(fd int) error {
		_, err := unix.FcntlInt(uintptr(fd), unix.F_FULLFSYNC, 0)
		return err
	})
}

// PunchHole is not offered here.
func (f *FD) PunchHole(int64, int64) error {
	return os.NewSyscallError("punch hole", errors.ErrUnsupported)
}

// ZeroRange is not offered here.
func (f *FD) ZeroRange(int64, int64) error {
	return os.NewSyscallError("zero range", errors.ErrUnsupported)
}
