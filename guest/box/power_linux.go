package box

import (
	"fmt"
	"syscall"
)

// power is poweroff, reboot and halt: it asks process 1, in the signals of busybox's init.
func power(name string, _ []string, s stdio) int {
	sig := map[string]syscall.Signal{"poweroff": syscall.SIGUSR2, "reboot": syscall.SIGTERM, "halt": syscall.SIGUSR1}[name]
	if err := syscall.Kill(1, sig); err != nil {
		fmt.Fprintf(s.err, "%s: %v\n", name, err)
		return 1
	}
	return 0
}

// become replaces this program by another. It returns only if that did not work.
func become(file string, args, env []string) error { return syscall.Exec(file, args, env) }
