//go:build !linux

package hostos

import (
	"errors"
	"fmt"
)

// Thread names one thread of this process, on hosts that can interrupt one by name.
type Thread struct{}

// CurrentThread fails here.
func CurrentThread() (Thread, error) {
	return Thread{}, fmt.Errorf("hostos: current thread: %w", errors.ErrUnsupported)
}

// Kick does nothing.
func (Thread) Kick() {}
