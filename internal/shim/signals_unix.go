//go:build unix

package shim

import (
	"os/signal"
	"syscall"
)

// escapeSignal stands for the escape key: any signal ends a run without a command.
const escapeSignal = int(syscall.SIGTERM)

// ignoreSignals leaves the terminal's signals to husk, which is in the same process group and passes them on. With
// SIGPIPE ignored, a closed standard output is an error of write, which the command in the guest hears of.
func ignoreSignals() {
	signal.Ignore(syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
}
