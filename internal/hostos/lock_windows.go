package hostos

import (
	"os"

	"golang.org/x/sys/windows"
)

// tryLock locks the last byte that a file can have: Windows enforces locks, and nobody may be kept from the contents.
func tryLock(f *os.File, exclusive bool) error {
	flags := uint32(windows.LOCKFILE_FAIL_IMMEDIATELY)
	if exclusive {
		flags |= windows.LOCKFILE_EXCLUSIVE_LOCK
	}
	c, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	err = c.Control(func(h uintptr) {
		at := windows.Overlapped{Offset: 0xffff_fffe, OffsetHigh: 0x7fff_ffff}
		inner = windows.LockFileEx(windows.Handle(h), flags, 0, 1, 0, &at)
	})
	if err != nil {
		return err
	}
	if inner == windows.ERROR_LOCK_VIOLATION {
		return ErrLocked
	}
	return inner
}
