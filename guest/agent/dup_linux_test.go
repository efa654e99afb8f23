package agent

import (
	"os"

	"golang.org/x/sys/unix"
)

// dup returns a second descriptor of f, which the poller can take: the fake process's own.
func dup(f *os.File) (*os.File, error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return nil, err
	}
	n := -1
	if cerr := raw.Control(func(fd uintptr) { n, err = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0) }); cerr != nil {
		return nil, cerr
	}
	if err != nil {
		return nil, err
	}
	unix.SetNonblock(n, true)
	return os.NewFile(uintptr(n), f.Name()), nil
}
