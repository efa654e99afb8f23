//go:build !linux && !darwin && !windows

package hostos

import "errors"

func mapAnonymous(int) ([]byte, error) { return nil, errors.ErrUnsupported }

func discard([]byte) error { return errors.ErrUnsupported }

func unmap([]byte) error { return errors.ErrUnsupported }
