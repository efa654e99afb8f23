//go:build !linux

package hostos

import (
	"errors"
	"fmt"
)

// ReleaseProgram fails here.
func ReleaseProgram() error {
	return fmt.Errorf("hostos: release program: %w", errors.ErrUnsupported)
}
