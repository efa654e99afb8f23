//go:build !linux && !darwin && !windows

package hostos

import (
	"errors"
	"fmt"
)

// Event wakes one thread, on hosts that have one of the means.
type Event struct{}

// NewEvent fails here.
func NewEvent() (*Event, error) {
	return nil, fmt.Errorf("hostos: event: %w", errors.ErrUnsupported)
}

// Ring does nothing: no event can be made here.
func (*Event) Ring() {}

// Wait returns false, as after Close.
func (*Event) Wait() bool { return false }

// Close does nothing.
func (*Event) Close() error { return nil }
