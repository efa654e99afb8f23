//go:build !linux

package hostos

import (
	"errors"
	"fmt"
)

// DieWithParent is not offered here.
func DieWithParent(int) error { return fmt.Errorf("die with parent: %w", errors.ErrUnsupported) }
