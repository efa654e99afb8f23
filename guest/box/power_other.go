//go:build !linux

package box

import (
	"errors"
	"fmt"
)

// power is for Linux guests.
func power(name string, _ []string, s stdio) int {
	fmt.Fprintf(s.err, "%s: not on this system\n", name)
	return 1
}

// become is for Linux guests.
func become(string, []string, []string) error { return errors.ErrUnsupported }
