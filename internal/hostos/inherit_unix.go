//go:build linux || darwin

package hostos

import "golang.org/x/sys/unix"

// adopt checks that fd is open, and closes it on exec.
func adopt(fd int) error {
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	if err == nil {
		_, err = unix.FcntlInt(uintptr(fd), unix.F_SETFD, flags|unix.FD_CLOEXEC)
	}
	return err
}
