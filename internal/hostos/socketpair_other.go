//go:build !linux && !darwin

package hostos

import (
	"errors"
	"fmt"
	"os"
)

// SocketPair returns two connected stream sockets, closed on exec. This system has none that a child could inherit.
func SocketPair() (a, b *os.File, err error) {
	return nil, nil, fmt.Errorf("socket pair: %w", errors.ErrUnsupported)
}
