package hostos

import (
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// CPUs is the number of host CPUs that this process may use.
func CPUs() int { return runtime.NumCPU() }

// HostRAM asks the host how much memory it has. Darwin gives no estimate of what is available.
func HostRAM() (RAM, error) {
	n, err := unix.SysctlUint64("hw.memsize")
	if err != nil {
		return RAM{}, fmt.Errorf("hostos: host memory: %w", err)
	}
	return RAM{Total: n, Available: n}, nil
}
