package lab

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// fakeLab prepares a session whose machine is the fake, from made-up parts below a root of its own.
func fakeLab(t *testing.T, how string) (options, session) {
	t.Helper()
	root := t.TempDir()
	const release = "9.9.9-lab"
	modules := filepath.Join(root, "lib/modules", release)
	var dep strings.Builder
	for _, name := range append(append([]string{}, bootModuleNames...), laterModules...) {
		fmt.Fprintf(&dep, "kernel/%s.ko:\n", name)
	}
	files := map[string]string{
		filepath.Join(root, "boot/vmlinuz-"+release):  "kernel",
		filepath.Join(modules, "modules.dep"):         dep.String(),
		filepath.Join(modules, "modules.builtin"):     "",
		filepath.Join(modules, "modules.alias"):       "",
		filepath.Join(modules, "kernel/unrelated.ko"): "",
	}
	for _, name := range bootModuleNames {
		files[filepath.Join(modules, "kernel", name+".ko")] = name
	}
	for name, text := range files {
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	static := filepath.Join(root, "init") // the test binary may be linked dynamically
	if err := os.WriteFile(static, minimalELF(), 0o755); err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	if err := os.Symlink(self, filepath.Join(bin, qemuName)); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	t.Setenv("KVMLAB_FAKE", how)
	t.Setenv("TMPDIR", t.TempDir())
	o := options{root: root, self: static, memoryMiB: 512, idle: time.Minute, life: time.Minute, boot: 20 * time.Second, session: "test", command: true}
	s, err := newSession(o, "/")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := stop(s); err != nil {
			t.Error(err)
		}
		// A supervisor that gave up by itself may still be cleaning up.
		var left []string
		for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
			if left, err = filepath.Glob(filepath.Join(filepath.Dir(s.dir), "husk-lab-*")); err != nil || len(left) == 0 || time.Now().After(deadline) {
				break
			}
		}
		if err != nil || len(left) > 0 {
			t.Errorf("left behind: %v, %v", left, err)
		}
	})
	return o, s
}

// minimalELF is a 64-bit x86 program file without any segment.
func minimalELF() []byte {
	h := make([]byte, 64)
	copy(h, "\x7fELF\x02\x01\x01")   // 64 bits, little-endian, version 1
	h[16], h[18], h[20] = 2, 62, 1   // ET_EXEC, EM_X86_64, version 1
	h[52], h[54], h[58] = 64, 56, 64 // sizes of this header, of a program header, of a section header
	return h
}

// run runs a command in the session's machine.
func run(t *testing.T, o options, s session, stdin string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	std := stdio{out: &out, err: &err}
	if stdin != "" {
		std.in = strings.NewReader(stdin)
	}
	o.args = args
	code, e := runCommand(o, s, std)
	if e != nil {
		t.Fatalf("run %q: %v", args, e)
	}
	return code, out.String(), err.String()
}

// waitGone waits for a process to end, without polling for it.
func waitGone(t *testing.T, pid int) {
	t.Helper()
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 20_000)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || n == 0 {
			t.Fatalf("process %d does not end (%v)", pid, err)
		}
		return
	}
}

func TestCommand(t *testing.T) {
	o, s := fakeLab(t, "serve")
	big := strings.Repeat("0123456789abcdef", 3<<20/16)
	for _, tt := range []struct {
		name, stdin string
		args        []string
		code        int
		out, err    string
	}{
		{"nothing", "", []string{"true"}, 0, "", ""},
		{"streams apart", "", []string{"sh", "-c", "echo out; echo err >&2"}, 0, "out\n", "err\n"},
		{"exit code", "", []string{"sh", "-c", "exit 7"}, 7, "", ""},
		{"a lab's exit code", "", []string{"sh", "-c", "exit 125"}, 125, "", ""},
		{"killed", "", []string{"sh", "-c", "kill -9 $$"}, 137, "", ""},
		{"not found", "", []string{"no-such-command"}, exitNotFound, "", "kvmlab: exec: \"no-such-command\": executable file not found in $PATH\n"},
		{"no such file", "", []string{"/no/such"}, exitNotFound, "", "kvmlab: fork/exec /no/such: no such file or directory\n"},
		{"not executable", "", []string{"/dev/null"}, exitNotExecutable, "", "kvmlab: fork/exec /dev/null: permission denied\n"},
		{"no input", "", []string{"cat"}, 0, "", ""},
		{"input", "abc", []string{"cat"}, 0, "abc", ""},
		{"much input", big, []string{"cat"}, 0, big, ""},
		{"unread input", big, []string{"true"}, 0, "", ""},
		{"half-read input", big, []string{"head", "-c", "4"}, 0, "0123", ""},
		{"arguments", "", []string{"printf", "%s|", "a b", "", "$x"}, 0, "a b||$x|", ""},
		{"memory for temporary files", "", []string{"sh", "-c", "echo $TMPDIR"}, 0, tmpDirInLab + "\n", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			code, out, err := run(t, o, s, tt.stdin, tt.args...)
			if code != tt.code || out != tt.out || err != tt.err {
				t.Errorf("exit code %d, output %.80q (%d bytes), error output %.200q", code, out, len(out), err)
			}
		})
	}
	t.Run("working directory and environment", func(t *testing.T) {
		t.Setenv("LAB_TEST", "x\ny=z")
		dir, err := os.Getwd()
		if err != nil {
			t.Fatal(err)
		}
		_, out, _ := run(t, o, s, "", "sh", "-c", `pwd; echo "$LAB_TEST"`)
		if want := dir + "\nx\ny=z\n"; out != want {
			t.Errorf("output %q, want %q", out, want)
		}
	})
	t.Run("bad directory", func(t *testing.T) {
		o.args = []string{"true"}
		o.writable = []string{"relative"}
		var std stdio
		var buf bytes.Buffer
		std.out, std.err = &buf, &buf
		if code, err := runCommand(o, s, std); code != exitLab || err != nil {
			t.Errorf("exit code %d, %v", code, err)
		}
	})
}

// TestConcurrent holds that more commands than slots run at once get their own streams each.
func TestConcurrent(t *testing.T) {
	o, s := fakeLab(t, "serve")
	var wg sync.WaitGroup
	for i := range 3 * slots {
		wg.Go(func() {
			in := strings.Repeat(strconv.Itoa(i), 100_000)
			code, out, _ := run(t, o, s, in, "sh", "-c", fmt.Sprintf("cat; exit %d", i))
			if code != i || out != in {
				t.Errorf("command %d: exit code %d, %d bytes of output, want %d", i, code, len(out), len(in))
			}
		})
	}
	wg.Wait()
}

// startClient runs kvmlab's client as a process of its own; the fake's root is passed by the session's machine, which
// must run already.
func startClient(t *testing.T, o options, s session, args ...string) (*exec.Cmd, io.WriteCloser, io.Reader) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Args = append([]string{"kvmlab", clientArg, string(encodeJSON(clientSpec{Dir: s.dir, Root: o.root, Self: o.self, Memory: o.memoryMiB}))}, args...)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, in, out
}

// readLine reads up to a line feed, byte by byte: what follows stays in r.
func readLine(t *testing.T, r io.Reader) string {
	t.Helper()
	var line []byte
	for b := [1]byte{}; ; {
		if _, err := io.ReadFull(r, b[:]); err != nil {
			t.Fatalf("after %q: %v", line, err)
		}
		if b[0] == '\n' {
			return string(line)
		}
		line = append(line, b[0])
	}
}

func TestSignals(t *testing.T) {
	o, s := fakeLab(t, "serve")
	run(t, o, s, "", "true")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	await := []string{self, awaitArg}
	for _, tt := range []struct {
		sig  unix.Signal
		args []string
		code int
		out  string
	}{
		{unix.SIGINT, await, 3, "interrupt\n"},
		{unix.SIGQUIT, await, 3, "quit\n"},
		{unix.SIGHUP, await, 3, "hangup\n"},
		{unix.SIGUSR1, await, 3, "user defined signal 1\n"},
		{unix.SIGTERM, []string{"sh", "-c", "echo ready; exec cat"}, 128 + 15, ""},
	} {
		t.Run(tt.sig.String(), func(t *testing.T) {
			cmd, _, out := startClient(t, o, s, tt.args...)
			if line := readLine(t, out); line != "ready" {
				t.Fatalf("first line %q", line)
			}
			if err := cmd.Process.Signal(tt.sig); err != nil {
				t.Fatal(err)
			}
			rest, err := io.ReadAll(out)
			if err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait() // the exit code says it
			if code := cmd.ProcessState.ExitCode(); code != tt.code || string(rest) != tt.out {
				t.Errorf("exit code %d, then %q; want %d, %q", code, rest, tt.code, tt.out)
			}
		})
	}
}

// fillSlots runs as many commands at the same time as there are slots, which it takes that all of them are free.
func fillSlots(t *testing.T, o options, s session) {
	t.Helper()
	var wg sync.WaitGroup
	var ends []*io.PipeWriter
	var ready []*notifyWriter
	for i := range slots {
		r, w := io.Pipe()
		n := &notifyWriter{seen: make(chan struct{})}
		ends, ready = append(ends, w), append(ready, n)
		o := o
		o.args = []string{"sh", "-c", "echo ready; read x"}
		wg.Go(func() {
			code, err := runCommand(o, s, stdio{in: r, out: n, err: io.Discard})
			if code != 1 || err != nil { // 1: the end of its input
				t.Errorf("command %d: exit code %d, %v", i, code, err)
			}
		})
	}
	timeout := time.After(time.Minute)
	for i, n := range ready {
		select {
		case <-n.seen:
		case <-timeout:
			t.Errorf("command %d does not start: a slot is lost", i)
		}
	}
	for _, w := range ends {
		w.Close()
	}
	wg.Wait()
}

// TestClientKilled holds that a slot whose client vanished serves the next.
func TestClientKilled(t *testing.T) {
	o, s := fakeLab(t, "serve")
	run(t, o, s, "", "true")
	for range 2 * slots {
		cmd, _, out := startClient(t, o, s, "sh", "-c", "echo ready; exec cat")
		readLine(t, out)
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait() // killed
	}
	fillSlots(t, o, s)
}

func TestMachineFails(t *testing.T) {
	for _, tt := range []struct {
		how, want string
		boot      time.Duration
	}{
		{"die", "fake: no such machine", time.Minute},
		{"hang", "did not start within", 300 * time.Millisecond},
	} {
		t.Run(tt.how, func(t *testing.T) {
			o, s := fakeLab(t, tt.how)
			o.boot, o.args = tt.boot, []string{"true"}
			_, err := runCommand(o, s, stdio{out: io.Discard, err: io.Discard})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
			if i, err := s.info(); err == nil {
				waitGone(t, i.Supervisor)
			}
		})
	}
}

func TestPartsMissing(t *testing.T) {
	for _, tt := range []struct {
		name, want string
		remove     func(o options)
	}{
		{"emulator", "qemu-system-x86", func(options) { t.Setenv("PATH", "/nonexistent") }},
		{"kernel", "linux-image-amd64", func(o options) { os.RemoveAll(filepath.Join(o.root, "boot")) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o, s := fakeLab(t, "serve")
			tt.remove(o)
			o.args = []string{"true"}
			_, err := runCommand(o, s, stdio{out: io.Discard, err: io.Discard})
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "kvmlab setup") {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
			f, err := s.lock() // a client that fails leaves no machine; the directory goes with the next one
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(s.clean(), s.remove(), f.Close()); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestRetire holds that a machine whose parts have changed serves nobody new, but finishes what it runs.
func TestRetire(t *testing.T) {
	o, s := fakeLab(t, "serve")
	run(t, o, s, "", "true")
	first, err := s.info()
	if err != nil {
		t.Fatal(err)
	}
	cmd, in, out := startClient(t, o, s, "sh", "-c", "echo ready; cat; exit 5")
	readLine(t, out)
	kernels, err := filepath.Glob(filepath.Join(o.root, "boot/*"))
	if err != nil || len(kernels) != 1 {
		t.Fatal(kernels, err)
	}
	if err := os.WriteFile(kernels[0], []byte("a newer kernel"), 0o644); err != nil {
		t.Fatal(err)
	}
	run(t, o, s, "", "true")
	second, err := s.info()
	if err != nil {
		t.Fatal(err)
	}
	if first.Supervisor == second.Supervisor {
		t.Error("the old machine serves on")
	}
	if _, err := io.WriteString(in, "tail"); err != nil {
		t.Fatal(err)
	}
	in.Close()
	rest, err := io.ReadAll(out)
	if err != nil || string(rest) != "tail" {
		t.Errorf("the old command's output: %q, %v", rest, err)
	}
	_ = cmd.Wait() // the exit code says it
	if code := cmd.ProcessState.ExitCode(); code != 5 {
		t.Errorf("the old command's exit code: %d", code)
	}
	waitGone(t, first.Supervisor)
	if code, _, _ := run(t, o, s, "", "true"); code != 0 {
		t.Errorf("the end of the old machine broke the new one: exit code %d", code)
	}
}

// fakePID is the process id of the fake emulator of the running machine.
func fakePID(t *testing.T, s session) int {
	t.Helper()
	i, err := s.info()
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(consoleTail(s.machineDir(i.Supervisor), 1))
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

func TestIdle(t *testing.T) {
	o, s := fakeLab(t, "serve")
	o.idle = 100 * time.Millisecond
	run(t, o, s, "", "true")
	i, err := s.info()
	if err != nil {
		return // it was even quicker
	}
	waitGone(t, i.Supervisor)
	if _, err := os.Stat(s.dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the session is still there: %v", err)
	}
}

func TestLifeEndsBusyMachine(t *testing.T) {
	o, s := fakeLab(t, "serve")
	o.life = 500 * time.Millisecond
	o.args = []string{"sh", "-c", "read x"}
	r, w := io.Pipe()
	defer w.Close()
	_, err := runCommand(o, s, stdio{in: r, out: io.Discard, err: io.Discard})
	if err == nil || !strings.Contains(err.Error(), "stopped") {
		t.Errorf("error %v, want one that says the machine was stopped", err)
	}
}

// TestSupervisorKilled holds that the emulator dies with its supervisor, and that the next command gets a new machine.
func TestSupervisorKilled(t *testing.T) {
	o, s := fakeLab(t, "serve")
	run(t, o, s, "", "true")
	i, err := s.info()
	if err != nil {
		t.Fatal(err)
	}
	qemu := fakePID(t, s)
	if err := unix.Kill(i.Supervisor, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	waitGone(t, qemu)
	if code, _, _ := run(t, o, s, "", "true"); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if _, err := os.Stat(s.machineDir(i.Supervisor)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the dead machine's directory is still there: %v", err)
	}
}

// TestEmulatorKilled holds that the death of the machine is a lab failure, and that the next command gets a new one.
func TestEmulatorKilled(t *testing.T) {
	o, s := fakeLab(t, "serve")
	run(t, o, s, "", "true")
	qemu := fakePID(t, s)
	done := make(chan error, 1)
	r, w := io.Pipe()
	defer w.Close()
	ready := &notifyWriter{seen: make(chan struct{})}
	go func() {
		o := o
		o.args = []string{"sh", "-c", "echo ready; read x"}
		_, err := runCommand(o, s, stdio{in: r, out: ready, err: io.Discard})
		done <- err
	}()
	<-ready.seen
	if err := unix.Kill(qemu, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err == nil || !strings.Contains(err.Error(), "outer machine ended") {
		t.Errorf("error %v, want one that says the machine ended", err)
	}
	if code, _, _ := run(t, o, s, "", "true"); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// notifyWriter closes seen at its first write.
type notifyWriter struct {
	once sync.Once
	seen chan struct{}
}

func (w *notifyWriter) Write(p []byte) (int, error) {
	w.once.Do(func() { close(w.seen) })
	return len(p), nil
}
