package agent

import (
	"bufio"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/husk-vm/husk/guest/proto"
)

// killTime is how long processes may take to die of SIGKILL, which only the kernel can delay.
const killTime = 2 * time.Second

// powerDown ends the guest, as process 1: asks the processes to end, makes them, writes what is not on disk yet, and leaves.
// It returns only if the kernel refuses.
func powerDown(ps *processes, log *slog.Logger, m proto.Shutdown) error {
	log.Info("shutdown", "kind", m.Kind)
	if m.Grace > 0 && unix.Kill(-1, unix.SIGTERM) == nil {
		unix.Kill(-1, unix.SIGCONT) // a stopped process cannot end
		ps.waitNone(time.Duration(m.Grace) * time.Millisecond)
	}
	if unix.Kill(-1, unix.SIGKILL) == nil && !ps.waitNone(killTime) {
		log.Warn("shutdown: processes survive SIGKILL")
	}
	unix.Sync()
	unmountAll(log)
	cmd := unix.LINUX_REBOOT_CMD_POWER_OFF
	switch m.Kind {
	case proto.Reboot:
		cmd = unix.LINUX_REBOOT_CMD_RESTART
	case proto.Halt:
		cmd = unix.LINUX_REBOOT_CMD_HALT
	}
	return fmt.Errorf("reboot: %w", unix.Reboot(cmd))
}

// unmountAll unmounts what has something behind it, last mounted first; what is busy becomes read-only.
func unmountAll(log *slog.Logger) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		log.Warn("shutdown: list mounts", "err", err)
		return
	}
	defer f.Close()
	var points []string
	for sc := bufio.NewScanner(f); sc.Scan(); {
		if p, ok := mountPoint(sc.Text()); ok {
			points = append(points, p)
		}
	}
	for _, p := range slices.Backward(points) {
		if unix.Unmount(p, 0) == nil {
			continue
		}
		if err := unix.Mount("", p, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
			log.Warn("shutdown: unmount", "path", p, "err", err)
		}
	}
}

// kernelFS are file systems with nothing behind them.
var kernelFS = []string{
	"rootfs", "ramfs", "tmpfs", "proc", "sysfs", "devtmpfs", "devpts", "cgroup2", "securityfs", "debugfs", "tracefs", "bpf", "mqueue", "hugetlbfs",
}

// mountPoint returns the mount point of a line of mountinfo [linux Documentation/filesystems/proc.rst §3.5], and whether to unmount it.
func mountPoint(line string) (string, bool) {
	left, right, ok := strings.Cut(line, " - ")
	l, r := strings.Fields(left), strings.Fields(right)
	if !ok || len(l) < 5 || len(r) < 1 || slices.Contains(kernelFS, r[0]) {
		return "", false
	}
	return unescape(l[4]), true
}

// unescape undoes the \ooo of mountinfo.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
