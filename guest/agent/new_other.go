//go:build !linux

package agent

import (
	"errors"
	"fmt"
	"log/slog"
)

// New is for Linux: elsewhere it returns errors.ErrUnsupported.
func New(*slog.Logger) (*Agent, error) {
	return nil, fmt.Errorf("agent: needs Linux: %w", errors.ErrUnsupported)
}
