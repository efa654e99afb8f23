//go:build !linux && !darwin && !windows

package hostos

import (
	"errors"
	"fmt"
	"runtime"
)

// CPUs is the number of host CPUs that this process may use.
func CPUs() int { return runtime.NumCPU() }

// HostRAM fails here.
func HostRAM() (RAM, error) {
	return RAM{}, fmt.Errorf("hostos: host memory: %w", errors.ErrUnsupported)
}
