package lab

import (
	"errors"
	"flag"
	"fmt"
	"math"
	"net"
	"os"
	"os/exec"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// superviseSpec is the supervisor's argument.
type superviseSpec struct {
	Dir, Root, Self  string
	MemoryMiB        int
	SMP2             bool
	Idle, Life, Boot time.Duration
}

// Main is the program kvmlab; args is os.Args. It is also, in other roles, the supervisor on the host, and PID 1, a
// stub and modprobe in the outer machine. It returns the exit code.
func Main(args []string) int {
	if os.Getpid() == 1 && args[0] == initPath {
		powerOff(initMain())
	}
	if args[0] == initPath {
		return modprobeMain(args[1:]) // the kernel asks for a module: /init -q -- name
	}
	if len(args) == 3 && args[1] == stubArg {
		return stubMain(args[2])
	}
	if len(args) == 3 && args[1] == superviseArg {
		var spec superviseSpec
		if err := decodeJSON([]byte(args[2]), &spec); err != nil {
			fmt.Fprintf(os.Stderr, "kvmlab: %v\n", err)
			return exitLab
		}
		o := options{root: spec.Root, self: spec.Self, memoryMiB: spec.MemoryMiB, smp2: spec.SMP2, idle: spec.Idle, life: spec.Life, boot: spec.Boot}
		return superviseMain(o, session{dir: spec.Dir})
	}
	o, err := parseOptions(args, os.Stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		return exitLab
	}
	code, err := dispatch(o)
	if err != nil {
		fmt.Fprintf(os.Stderr, "kvmlab: %s\n", strings.TrimPrefix(err.Error(), "lab: "))
		return exitLab
	}
	return code
}

// dispatch does what the command line asks for.
func dispatch(o options) (int, error) {
	dir, err := os.Getwd()
	if err != nil {
		return 0, err
	}
	s, err := newSession(o, dir)
	if err != nil {
		return 0, err
	}
	if o.command {
		return runCommand(o, s, stdio{os.Stdin, os.Stdout, os.Stderr})
	}
	if len(o.args) != 1 {
		return 0, fmt.Errorf("%q is no sub-command; to run a command, put -- before it", o.args[0])
	}
	switch o.args[0] {
	case "status":
		return 0, status(s)
	case "stop":
		return 0, stop(s)
	case "setup":
		return 0, setup(o)
	case "console":
		return 0, console(s)
	}
	return 0, fmt.Errorf("%q is no sub-command; to run a command, put -- before it", o.args[0])
}

// status prints a line about the session's machine.
func status(s session) error {
	c, err := dial(s)
	if err != nil {
		fmt.Println("no machine is running")
		return nil
	}
	c.Close()
	i, err := s.info()
	if err != nil {
		return err
	}
	fmt.Printf("running: %s; supervisor %d, session %s\n", i.Machine, i.Supervisor, s.dir)
	return nil
}

// console prints what the machine's kernel printed.
func console(s session) error {
	i, err := s.info()
	if err != nil {
		return errors.New("no machine is running")
	}
	_, err = fmt.Println(consoleTail(s.machineDir(i.Supervisor), math.MaxInt32))
	return err
}

// stop ends the session's machine and waits until it is gone.
func stop(s session) error {
	c, err := dial(s)
	if err != nil {
		return nil // none is running
	}
	defer c.Close()
	pid, err := peer(c)
	if err != nil {
		return err
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("lab: stop supervisor %d: %w", pid, err)
	}
	defer unix.Close(fd)
	if err := unix.PidfdSendSignal(fd, unix.SIGTERM, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("lab: stop supervisor %d: %w", pid, err)
	}
	c.Close() // a silent client would be waited for
	for err = unix.EINTR; errors.Is(err, unix.EINTR); {
		_, err = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, -1)
	}
	return err
}

// retire takes the session from its machine, which ends after its last command. The caller holds the lock.
func retire(s session, c *net.UnixConn) error {
	pid, err := peer(c)
	if err != nil {
		return err
	}
	if err := s.vacate(); err != nil {
		return err
	}
	if err := unix.Kill(pid, unix.SIGUSR1); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("lab: retire supervisor %d: %w", pid, err)
	}
	return nil
}

// peer returns the process that listens at the other end.
func peer(c *net.UnixConn) (int, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	var cred *unix.Ucred
	var credErr error
	err = raw.Control(func(fd uintptr) { cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) })
	if err := errors.Join(err, credErr); err != nil {
		return 0, fmt.Errorf("lab: peer: %w", err)
	}
	return int(cred.Pid), nil
}

// setup installs what is missing.
func setup(o options) error {
	missing := missingPackages(o.root)
	if len(missing) == 0 {
		return nil
	}
	if os.Geteuid() != 0 {
		return fmt.Errorf("missing: %s; run as root: kvmlab setup", strings.Join(missing, " "))
	}
	if _, err := exec.LookPath("apt-get"); err != nil {
		return fmt.Errorf("missing: %s; install them with this system's package manager", strings.Join(missing, " "))
	}
	for _, args := range [][]string{
		{"update", "-qq"},
		append([]string{"install", "-qq", "-y", "--no-install-recommends"}, missing...),
	} {
		cmd := exec.Command("apt-get", args...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("apt-get %s: %w\n%s", args[0], err, out)
		}
	}
	return nil
}
