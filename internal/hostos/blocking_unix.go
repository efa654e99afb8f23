//go:build unix

package hostos

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// SetBlocking makes reads and writes of f's open file wait in the kernel, for a thread that has nothing else to do. The
// setting is the open file's: whoever shares it, as the other end of an inherited standard stream may, sees it too.
func SetBlocking(f *os.File) error {
	err := control(f, func(fd int) error { return unix.SetNonblock(fd, false) })
	if err != nil {
		return fmt.Errorf("set %s blocking: %w", f.Name(), err)
	}
	return nil
}
