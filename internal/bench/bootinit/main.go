//go:build linux

// Command bootinit is process 1 of the benchmarks' guests: it says that user space is there, and powers off; or sleeps
// for ever, if "stay" stands on the kernel's command line.
package main

import (
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

func main() {
	_ = unix.Mount("dev", "/dev", "devtmpfs", 0, "")
	if f, err := os.OpenFile("/dev/console", os.O_WRONLY, 0); err == nil {
		f.WriteString("user space is up\n")
	}
	for slices.Contains(os.Args[1:], "stay") {
		_ = unix.Pause()
	}
	_ = unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
}
