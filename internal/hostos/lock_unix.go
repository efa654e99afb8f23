//go:build unix && !solaris && !aix

package hostos

import (
	"os"

	"golang.org/x/sys/unix"
)

// tryLock is flock(2), whose locks belong to the open file: unlike those of fcntl they are not lost when another
// descriptor for the same file is closed somewhere in this process.
func tryLock(f *os.File, exclusive bool) error {
	how := unix.LOCK_SH
	if exclusive {
		how = unix.LOCK_EX
	}
	return control(f, func(fd int) error {
		for {
			switch err := unix.Flock(fd, how|unix.LOCK_NB); err {
			case unix.EINTR:
			case unix.EWOULDBLOCK:
				return ErrLocked
			default:
				return os.NewSyscallError("flock", err)
			}
		}
	})
}
