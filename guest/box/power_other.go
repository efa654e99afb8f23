//go:build !linux

package box

import "fmt"

// power is for Linux guests.
func power(name string, _ []string, s stdio) int {
	fmt.Fprintf(s.err, "%s: not on this system\n", name)
	return 1
}
