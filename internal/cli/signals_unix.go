//go:build unix

package cli

import (
	"os"
	"os/signal"
	"syscall"
)

// notifySignals delivers what a run reacts to.
func notifySignals() (<-chan os.Signal, func()) {
	c := make(chan os.Signal, 8)
	signal.Notify(c, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGWINCH)
	return c, func() { signal.Stop(c) }
}

func isResize(s os.Signal) bool { return s == syscall.SIGWINCH }

// signalNumber is what the guest's Linux calls the signal: the same for those of notifySignals on every unix.
func signalNumber(s os.Signal) int { return int(s.(syscall.Signal)) }
