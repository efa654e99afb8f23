package lab

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	stubArg     = "stub" // the argument that makes this binary a stub
	fdControl   = 3      // SOCK_SEQPACKET to init
	fdRequest   = 4      // pipe with the JSON of the request
	tmpDirInLab = "/run/kvmlab/tmp"
)

// scratchDirs are directories of the host that a command sees with a private, writable layer in memory over them.
var scratchDirs = []string{"/tmp", "/var/tmp", "/run"}

// stubMain is PID 1 of a command's name space: it builds the command's root, starts it, passes signals on, reaps
// orphans, and reports the exit code. When it returns, the kernel kills what is left.
func stubMain(slot string) int {
	return runStub(func(req *request) error { return buildRoot(slot, req.Writable) })
}

// runStub is stubMain with a choice of root.
func runStub(root func(*request) error) int {
	control := os.NewFile(fdControl, "control")
	e := runChild(root, control)
	if _, err := control.Write(encodeJSON(e)); err != nil {
		return exitLab
	}
	return 0
}

// runChild does the work of a stub.
func runChild(root func(*request) error, control *os.File) exit {
	fail := func(err error) exit { return exit{Code: exitLab, Error: err.Error()} }
	unix.CloseOnExec(fdControl)
	unix.CloseOnExec(fdRequest)
	// Only SIGKILL ends a name space. Caught, not ignored: what is ignored the command would inherit.
	caught := make(chan os.Signal, 1)
	signal.Notify(caught, unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT, unix.SIGPIPE)
	in := os.NewFile(fdRequest, "request")
	payload, err := io.ReadAll(io.LimitReader(in, maxFrame+1))
	in.Close()
	if err != nil {
		return fail(err)
	}
	var req request
	if err := decodeJSON(payload, &req); err != nil {
		return fail(err)
	}
	if err := root(&req); err != nil {
		return fail(err)
	}
	child, err := startChild(&req)
	if err != nil {
		code := exitNotExecutable
		if errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist) {
			code = exitNotFound
		}
		return exit{Code: code, Error: err.Error()}
	}
	go func() {
		var b [1]byte
		for {
			if n, err := control.Read(b[:]); err != nil || n != 1 {
				return
			}
			// A group that has just ended does not mind.
			_ = unix.Kill(-child, unix.Signal(b[0]))
		}
	}()
	return waitChild(child)
}

// waitChild reaps whatever ends until the child has.
func waitChild(child int) exit {
	for {
		var ws unix.WaitStatus
		pid, err := unix.Wait4(-1, &ws, 0, nil)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return exit{Code: exitLab, Error: "lab: wait: " + err.Error()}
		case pid == child && ws.Signaled():
			return exit{Code: 128 + int(ws.Signal())}
		case pid == child && ws.Exited():
			return exit{Code: ws.ExitStatus()}
		}
	}
}

// startChild starts the command in a process group of its own, with the stub's standard streams.
func startChild(req *request) (pid int, err error) {
	env := append([]string{}, req.Env...)
	env = setEnv(env, "TMPDIR", tmpDirInLab)
	path := req.Args[0]
	if !strings.Contains(path, "/") {
		if path, err = lookPath(path, getEnv(env, "PATH")); err != nil {
			return 0, err
		}
	}
	if fi, err := os.Stat(req.Dir); err != nil || !fi.IsDir() {
		return 0, fmt.Errorf("lab: working directory %s: not in the machine", req.Dir)
	}
	p, err := os.StartProcess(path, req.Args, &os.ProcAttr{
		Dir:   req.Dir,
		Env:   env,
		Files: []*os.File{os.Stdin, os.Stdout, os.Stderr},
		Sys:   &unix.SysProcAttr{Setpgid: true},
	})
	if err != nil {
		return 0, err
	}
	pid = p.Pid
	// waitChild reaps every process, this one too.
	return pid, p.Release()
}

// lookPath finds a command in a PATH that is not this process's own.
func lookPath(name, path string) (string, error) {
	for _, dir := range filepath.SplitList(path) {
		if dir == "" {
			dir = "."
		}
		file := filepath.Join(dir, name)
		if fi, err := os.Stat(file); err == nil && fi.Mode().IsRegular() && fi.Mode()&0o111 != 0 {
			return file, nil
		}
	}
	return "", &exec.Error{Name: name, Err: exec.ErrNotFound}
}

// buildRoot makes the command's root: a 9p mount of the host's root for this command alone, read-only, with
// scratchDirs writable in memory, the kernel's file systems, and the host directories of writable bound in.
func buildRoot(slot string, writable []string) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("lab: private mounts: %w", err)
	}
	root := commandRoot
	// cache=loose never asks the host again, which is what makes it fast; nothing of it outlives the command.
	if err := mount9p(tagSlot+slot, root, "cache=loose", true); err != nil {
		return err
	}
	for _, m := range []struct {
		fs, dir, opts string
		flags         uintptr
	}{
		{"proc", "/proc", "", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC},
		{"sysfs", "/sys", "", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC},
		{"cgroup2", "/sys/fs/cgroup", "", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC},
		{"devtmpfs", "/dev", "", unix.MS_NOSUID},
		{"devpts", "/dev/pts", "ptmxmode=0666,mode=0620", unix.MS_NOSUID | unix.MS_NOEXEC},
		{"tmpfs", "/dev/shm", "mode=1777", unix.MS_NOSUID | unix.MS_NODEV},
	} {
		if m.fs == "devpts" || m.dir == "/dev/shm" {
			if err := os.MkdirAll(root+m.dir, 0o755); err != nil {
				return err
			}
		}
		if err := unix.Mount(m.fs, root+m.dir, m.fs, m.flags, m.opts); err != nil {
			return fmt.Errorf("lab: mount %s: %w", m.dir, err)
		}
	}
	for _, link := range [][2]string{
		{"/proc/self/fd", "/dev/fd"}, {"fd/0", "/dev/stdin"}, {"fd/1", "/dev/stdout"}, {"fd/2", "/dev/stderr"},
	} {
		if err := os.Symlink(link[0], root+link[1]); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	if err := mountScratch(root); err != nil {
		return err
	}
	for _, dir := range writable {
		if err := unix.Mount(writeRoot+dir, root+dir, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("lab: make %s writable: %w", dir, err)
		}
	}
	// Move the new root over the old one: a plain chroot would forbid user name spaces to the command.
	if err := unix.Chdir(root); err != nil {
		return err
	}
	if err := unix.Mount(root, "/", "", unix.MS_MOVE, ""); err != nil {
		return fmt.Errorf("lab: move root: %w", err)
	}
	return errors.Join(unix.Chroot("."), unix.Chdir("/"))
}

// mountScratch lays a layer in memory over scratchDirs, and makes the command's TMPDIR.
func mountScratch(root string) error {
	const layers = "/layers"
	if err := os.MkdirAll(layers, 0o755); err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", layers, "tmpfs", 0, "mode=755"); err != nil {
		return fmt.Errorf("lab: mount %s: %w", layers, err)
	}
	for _, dir := range scratchDirs {
		name := layers + "/" + strings.ReplaceAll(dir[1:], "/", "-")
		if err := errors.Join(os.MkdirAll(name+"/upper", 0o755), os.MkdirAll(name+"/work", 0o755)); err != nil {
			return err
		}
		fi, err := os.Stat(root + dir)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		// The merged directory has the mode of its upper half.
		if err := os.Chmod(name+"/upper", fi.Mode().Perm()|fi.Mode()&os.ModeSticky); err != nil {
			return err
		}
		opts := fmt.Sprintf("lowerdir=%s,upperdir=%s/upper,workdir=%s/work", root+dir, name, name)
		if err := unix.Mount("overlay", root+dir, "overlay", 0, opts); err != nil {
			return fmt.Errorf("lab: mount overlay on %s: %w", dir, err)
		}
	}
	// A tmpfs of its own, not the overlay: programs see an ordinary file system.
	base := root + filepath.Dir(tmpDirInLab)
	if err := os.MkdirAll(base, 0o755); err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", base, "tmpfs", 0, "mode=755"); err != nil {
		return fmt.Errorf("lab: mount %s: %w", base, err)
	}
	if err := os.Mkdir(root+tmpDirInLab, 0o777); err != nil {
		return err
	}
	return os.Chmod(root+tmpDirInLab, 0o777|os.ModeSticky)
}
