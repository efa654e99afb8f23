//go:build !unix

package shim

import (
	"os"
	"os/signal"
)

const escapeSignal = 15

func ignoreSignals() { signal.Ignore(os.Interrupt) }
