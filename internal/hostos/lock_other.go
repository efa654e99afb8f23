//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly || windows)

package hostos

import (
	"errors"
	"os"
)

func lockFile(*os.File, bool) error { return errors.ErrUnsupported }
