//go:build !unix

package hostos

import (
	"errors"
	"os"
)

// OpenFD is for hosts that have descriptors.
func OpenFD(path string, _ int) (*FD, error) {
	return nil, &os.PathError{Op: "open", Path: path, Err: errors.ErrUnsupported}
}

func closeFD(int) error { return errors.ErrUnsupported }
