//go:build !linux

package agent

import (
	"fmt"
	"os"
)

// Main is the agent's program: it is a guest program, for Linux.
func Main() int {
	fmt.Fprintln(os.Stderr, "husk-agent: runs in a Linux guest only")
	return 1
}
