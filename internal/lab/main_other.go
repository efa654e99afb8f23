//go:build !linux

package lab

import (
	"fmt"
	"os"
)

// Main is the program kvmlab, which needs Linux: it returns 125.
func Main(args []string) int {
	fmt.Fprintln(os.Stderr, "kvmlab: needs a Linux host")
	return exitLab
}
