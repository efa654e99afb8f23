package agent

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// mount is one thing that user space expects to find.
type mount struct {
	fs, at, data string
	flags        uintptr
	optional     bool // the kernel may be built without it
}

const (
	nosuid = unix.MS_NOSUID | unix.MS_NOEXEC | unix.MS_NODEV
	noexec = unix.MS_NOSUID | unix.MS_NOEXEC
	shared = unix.MS_NOSUID | unix.MS_NODEV
)

// mounts are what a process needs, parents first. /proc is the first of all: it has the command line.
var mounts = []mount{
	{fs: "proc", at: "/proc", flags: nosuid},
	{fs: "sysfs", at: "/sys", flags: nosuid},
	{fs: "devtmpfs", at: "/dev", data: "mode=0755", flags: noexec},
	{fs: "devpts", at: "/dev/pts", data: "gid=5,mode=0620,ptmxmode=0666", flags: noexec, optional: true},
	{fs: "tmpfs", at: "/dev/shm", data: "mode=1777", flags: shared},
	{fs: "tmpfs", at: "/run", data: "mode=0755", flags: shared},
	{fs: "tmpfs", at: "/tmp", data: "mode=1777", flags: shared},
	{fs: "cgroup2", at: "/sys/fs/cgroup", data: "nsdelegate", flags: nosuid, optional: true},
}

// devLinks are names in /dev that programs expect and devtmpfs does not make.
var devLinks = [][2]string{
	{"/proc/self/fd", "/dev/fd"},
	{"/proc/self/fd/0", "/dev/stdin"},
	{"/proc/self/fd/1", "/dev/stdout"},
	{"/proc/self/fd/2", "/dev/stderr"},
	{"pts/ptmx", "/dev/ptmx"},
}

// mounter is what mounting asks of the kernel.
type mounter interface {
	mkdir(path string) error
	mount(m mount) error
	link(target, path string) error
}

// mountAll mounts all of list. A failure of what is not optional is told, and the rest goes on: a guest with
// half its file systems can still say what is wrong with it.
func mountAll(k mounter, list []mount) error {
	var errs []error
	for _, m := range list {
		err := k.mkdir(m.at)
		if err == nil {
			err = k.mount(m)
		}
		if err != nil && !(m.optional && (errors.Is(err, unix.ENODEV) || errors.Is(err, os.ErrNotExist))) {
			errs = append(errs, fmt.Errorf("mount %s: %w", m.at, err))
		}
	}
	for _, l := range devLinks {
		if err := k.link(l[0], l[1]); err != nil && !errors.Is(err, os.ErrExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// kernel is the mounter of a real guest.
type kernel struct{}

func (kernel) mkdir(path string) error {
	if err := os.Mkdir(path, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return nil
}

func (kernel) mount(m mount) error {
	err := unix.Mount(m.fs, m.at, m.fs, m.flags, m.data)
	if err == unix.EBUSY { // CONFIG_DEVTMPFS_MOUNT, or an earlier stage, was faster
		return nil
	}
	return err
}

func (kernel) link(target, path string) error {
	if path == "/dev/ptmx" {
		os.Remove(path) // devtmpfs makes a node; the link is right for every instance of devpts
	}
	return os.Symlink(target, path)
}

// bootParams are the parameters that the agent takes from the kernel's command line.
type bootParams struct {
	debug    bool   // husk.debug: log what the agent does to the console
	shell    bool   // husk.shell: keep a shell on the console
	hostname string // husk.hostname=NAME
}

// parseCmdline finds the agent's parameters among all.
func parseCmdline(line string) bootParams {
	p := bootParams{hostname: "husk"}
	for _, f := range strings.Fields(line) {
		name, value, _ := strings.Cut(f, "=")
		switch name {
		case "husk.debug":
			p.debug = true
		case "husk.shell":
			p.shell = true
		case "husk.hostname":
			if value != "" && len(value) <= 64 { // __NEW_UTS_LEN
				p.hostname = value
			}
		}
	}
	return p
}

// bringUpLoopback sets the loopback interface up; the kernel gives it its addresses.
func bringUpLoopback() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("loopback: %w", err)
	}
	defer unix.Close(fd)
	ifr, err := unix.NewIfreq("lo")
	if err != nil {
		return fmt.Errorf("loopback: %w", err)
	}
	ifr.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, ifr); err != nil {
		return fmt.Errorf("loopback: %w", err)
	}
	return nil
}

// settle does what processes want but the host need not wait for.
func settle(p bootParams, log *slog.Logger) {
	if err := unix.Sethostname([]byte(p.hostname)); err != nil {
		log.Warn("set hostname", "err", err)
	}
	if err := bringUpLoopback(); err != nil {
		log.Warn("network", "err", err)
	}
	// Ctrl-Alt-Del becomes a SIGINT for process 1 instead of an immediate reset.
	if err := unix.Reboot(unix.LINUX_REBOOT_CMD_CAD_OFF); err != nil {
		log.Warn("ctrl-alt-del", "err", err)
	}
}
