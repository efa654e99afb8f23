//go:build !windows && (!unix || solaris || aix)

package hostos

import (
	"errors"
	"os"
)

func tryLock(*os.File, bool) error { return errors.ErrUnsupported }
