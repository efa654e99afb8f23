//go:build unix

package hostos

import (
	"os"

	"golang.org/x/sys/unix"
)

// OpenFD opens path with the given O_ flags, and close-on-exec.
func OpenFD(path string, flags int) (*FD, error) {
	for {
		fd, err := unix.Open(path, flags|unix.O_CLOEXEC, 0)
		if err == unix.EINTR {
			continue // nothing was opened: asking again is the same as asking once
		}
		if err != nil {
			return nil, &os.PathError{Op: "open", Path: path, Err: err}
		}
		return NewFD(fd), nil
	}
}

// closeFD does not try again after EINTR: the descriptor is gone all the same, and its number may be somebody else's.
func closeFD(fd int) error {
	if err := unix.Close(fd); err != nil && err != unix.EINTR {
		return os.NewSyscallError("close", err)
	}
	return nil
}
