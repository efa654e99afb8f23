package lab

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// Names inside the outer machine. The root is the initramfs: this binary and the first modules.
const (
	initPath    = "/init"    // this binary
	bootModules = "/modules" // numbered module files, in load order
	systemRoot  = "/system"  // the host's root, for loading further modules
	writeRoot   = "/write"   // the host's root, writable: only what --rw names is bound into commands
	commandRoot = "/command" // where a stub, in its own mount name space, builds its command's root
)

// 9p tags of the outer machine's devices, and the name of its virtio-serial ports.
const (
	tagSystem = "system"
	tagWrite  = "write"
	tagSlot   = "slot" // followed by the slot's number
	portName  = "lab." // followed by the slot's number
)

// laterModules are loaded from the host's own tree once its root is there. What else a command needs comes by
// request_module.
var laterModules = []string{"kvm_amd", "overlay", "virtio_balloon", "tun", "fuse", "loop"}

// initMain is the life of PID 1 in the outer machine. It returns only if something is wrong.
func initMain() error {
	if err := mountBasics(); err != nil {
		return err
	}
	if err := loadBootModules(); err != nil {
		return err
	}
	for _, dir := range []string{systemRoot, writeRoot, commandRoot} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	// The system mount is cached for good: it only serves kernel modules.
	if err := mount9p(tagSystem, systemRoot, "cache=loose", true); err != nil {
		return err
	}
	// cache=mmap is write-through, and looks names up on the host every time.
	if err := mount9p(tagWrite, writeRoot, "cache=mmap", false); err != nil {
		return err
	}
	if err := loadModules(laterModules...); err != nil {
		return err
	}
	for file, value := range map[string]string{
		"/proc/sys/kernel/modprobe":      initPath,
		"/proc/sys/vm/overcommit_memory": "1", // an inner guest's memory is mapped whole and touched in part
	} {
		if err := os.WriteFile(file, []byte(value), 0o644); err != nil {
			return err
		}
	}
	if err := errors.Join(unix.Sethostname([]byte("kvmlab")), os.Chmod("/dev/kvm", 0o666)); err != nil {
		return err
	}
	if err := linkUp("lo"); err != nil {
		return err
	}
	ports, err := openPorts()
	if err != nil {
		return err
	}
	go watchStalls(os.Stderr) // the console
	var wg sync.WaitGroup
	for slot, port := range ports {
		wg.Go(func() { serveSlot(port, func() *exec.Cmd { return stubCommand(slot) }) })
	}
	wg.Wait()
	return errors.New("lab: init: every port has closed")
}

// mountBasics mounts the kernel's own file systems.
func mountBasics() error {
	for _, m := range []struct{ dir, fs string }{{"/proc", "proc"}, {"/sys", "sysfs"}, {"/dev", "devtmpfs"}} {
		if err := os.MkdirAll(m.dir, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(m.fs, m.dir, m.fs, 0, ""); err != nil && !errors.Is(err, unix.EBUSY) {
			return fmt.Errorf("lab: mount %s: %w", m.dir, err)
		}
	}
	return nil
}

// mount9p mounts the host's root as seen by the 9p device tag.
func mount9p(tag, dir, cache string, readonly bool) error {
	flags := uintptr(0)
	if readonly {
		flags |= unix.MS_RDONLY
	}
	// access=any: one attach for all users; the host checks as the user who runs QEMU.
	opts := "trans=virtio,version=9p2000.L,msize=262144,access=any," + cache
	if err := unix.Mount(tag, dir, "9p", flags, opts); err != nil {
		return fmt.Errorf("lab: mount 9p %s on %s: %w", tag, dir, err)
	}
	return nil
}

// linkUp sets a network interface up.
func linkUp(name string) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("lab: link %s: %w", name, err)
	}
	defer unix.Close(fd)
	ifr, err := unix.NewIfreq(name)
	if err != nil {
		return fmt.Errorf("lab: link %s: %w", name, err)
	}
	ifr.SetUint16(unix.IFF_UP)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, ifr); err != nil {
		return fmt.Errorf("lab: link %s up: %w", name, err)
	}
	return nil
}

// openPorts opens the virtio-serial ports, slot by slot.
func openPorts() ([]io.ReadWriteCloser, error) {
	names, err := filepath.Glob("/sys/class/virtio-ports/*/name")
	if err != nil {
		return nil, err
	}
	found := map[string]string{}
	for _, file := range names {
		b, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		found[strings.TrimSpace(string(b))] = filepath.Base(filepath.Dir(file))
	}
	var ports []io.ReadWriteCloser
	for {
		dev, ok := found[fmt.Sprint(portName, len(ports))]
		if !ok {
			break
		}
		// Not blocking: a blocking write to a port spins in the kernel, interrupts off, while the host's buffer is
		// full (linux drivers/char/virtio_console.c, __send_to_port).
		f, err := os.OpenFile("/dev/"+dev, os.O_RDWR|unix.O_NONBLOCK, 0)
		if err != nil {
			return nil, err
		}
		ports = append(ports, f)
	}
	if len(ports) == 0 {
		return nil, errors.New("lab: init: no virtio-serial port")
	}
	return ports, nil
}

// powerOff ends the machine; it is how PID 1 returns.
func powerOff(err error) {
	fmt.Fprintf(os.Stderr, "kvmlab: init: %v\n", err)
	unix.Sync()
	if err := unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF); err != nil {
		fmt.Fprintf(os.Stderr, "kvmlab: power off: %v\n", err)
	}
	select {} // PID 1 must not return: the kernel would panic before the last line is out
}

// stubCommand starts this binary as a stub, PID 1 of its own PID name space, with its own mounts.
func stubCommand(slot int) *exec.Cmd {
	cmd := exec.Command(initPath)
	cmd.Args = []string{"kvmlab", stubArg, fmt.Sprint(slot)}
	cmd.Env = []string{}
	cmd.SysProcAttr = &unix.SysProcAttr{Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID, Setsid: true}
	return cmd
}
