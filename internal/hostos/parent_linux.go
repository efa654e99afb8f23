package hostos

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// DieWithParent has the kernel kill this process when the thread that started it ends. In a Go program threads come and
// go, so the parent must have started this process from a goroutine that stays locked to its thread. The wish is kept by
// the calling thread: call it on one that lives as long as the process, as the main goroutine's does while it is locked.
//
// It is the last resort for a parent that is killed; a parent that means well closes a pipe.
func DieWithParent(parent int) error {
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0); err != nil {
		return fmt.Errorf("die with parent: %w", os.NewSyscallError("prctl", err))
	}
	if os.Getppid() != parent { // it died before the kernel was told
		return errors.New("die with parent: the parent is gone")
	}
	return nil
}
