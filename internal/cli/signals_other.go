//go:build !unix

package cli

import (
	"os"
	"os/signal"
)

func notifySignals() (<-chan os.Signal, func()) {
	c := make(chan os.Signal, 8)
	signal.Notify(c, os.Interrupt)
	return c, func() { signal.Stop(c) }
}

func isResize(os.Signal) bool { return false }

// signalNumber is SIGINT as the guest's Linux numbers it.
func signalNumber(os.Signal) int { return 2 }
