//go:build !linux && !darwin

package hostos

import "errors"

func adopt(int) error { return errors.ErrUnsupported }
