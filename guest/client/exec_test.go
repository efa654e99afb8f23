//go:build linux

package client_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/husk-vm/husk/guest/client"
)

func TestExec(t *testing.T) {
	c, _ := newClient(t)
	dir := t.TempDir()
	for _, tt := range []struct {
		name   string
		cmd    *client.Cmd
		stdin  string
		out    string
		err    string // of ExitError's text
		status int    // client.ExitCode
	}{
		{name: "output", cmd: c.Command("echo", "a", "b c"), out: "a b c\n"},
		{name: "status", cmd: c.Command("sh", "-c", "exit 7"), err: "exit status 7", status: 7},
		{name: "highest status", cmd: c.Command("sh", "-c", "exit 255"), err: "exit status 255", status: 255},
		{name: "signal", cmd: c.Command("sh", "-c", "kill -TERM $$"), err: "signal: terminated", status: 143},
		{name: "stdin", cmd: c.Command("cat"), stdin: "hello", out: "hello"},
		{name: "no stdin", cmd: c.Command("cat"), out: ""},
		{name: "both outputs in order", cmd: c.Command("sh", "-c", "echo 1; echo 2 >&2; echo 3; echo 4 >&2"), out: "1\n2\n3\n4\n"},
		{name: "dir", cmd: at(c.Command("pwd"), dir), out: dir + "\n"},
		{name: "default dir", cmd: c.Command("pwd"), out: "/\n"},
		{name: "relative program", cmd: at(c.Command("./sh", "-c", "echo $0"), "/bin"), out: "./sh\n"},
		{name: "env is added", cmd: env(c.Command("sh", "-c", "echo $A $HOME"), false, "A=1", "A=2"), out: "2 /root\n"},
		{name: "env is replaced", cmd: env(c.Command("/usr/bin/env"), true, "A=1"), out: "A=1\n"},
		{name: "argv0", cmd: &client.Cmd{}, out: ""},
		{name: "session of its own", cmd: c.Command("sh", "-c", `set -- $(cat /proc/self/stat); test $5 = $$ && test $6 = $$ && echo yes`), out: "yes\n"},
		{name: "not found", cmd: c.Command("no-such-program"), status: 127},
		{name: "not found by path", cmd: c.Command("/no/such/program"), status: 127},
		{name: "not executable", cmd: c.Command("/etc/passwd"), status: 126},
		{name: "directory", cmd: c.Command("/etc"), status: 126},
		{name: "no such dir", cmd: at(c.Command("true"), "/no/such/dir"), status: 127},
		{name: "zero byte", cmd: c.Command("echo", "a\x00b"), status: 126},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cmd := tt.cmd
			if tt.name == "argv0" {
				cmd = c.Command("sh", "-c", "true")
				cmd.Args[0] = "other"
			}
			if tt.stdin != "" {
				cmd.Stdin = strings.NewReader(tt.stdin)
			}
			out, err := cmd.CombinedOutput()
			if got := client.ExitCode(err); got != tt.status {
				t.Errorf("status %d, want %d: %v", got, tt.status, err)
			}
			if string(out) != tt.out {
				t.Errorf("output %q, want %q", out, tt.out)
			}
			if e, ok := errors.AsType[*client.ExitError](err); ok != (tt.err != "") || ok && e.Error() != tt.err {
				t.Errorf("error %v, want %q", err, tt.err)
			}
		})
	}
}

func at(c *client.Cmd, dir string) *client.Cmd { c.Dir = dir; return c }

func env(c *client.Cmd, clean bool, kv ...string) *client.Cmd {
	c.CleanEnv, c.Env = clean, kv
	return c
}

func TestStartErrors(t *testing.T) {
	c, _ := newClient(t)
	err := c.Command("no-such-program").Run()
	if !errors.Is(err, fs.ErrNotExist) || !errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrPermission) {
		t.Errorf("not found is %v", err)
	}
	err = c.Command("/etc/passwd").Run()
	if !errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("not executable is %v", err)
	}
	if err := c.Command("echo", strings.Repeat("x", 3<<20)).Run(); err == nil {
		t.Error("three megabytes of arguments are too much")
	}
	if err := c.Command("true", strings.Repeat("x", 100<<10)).Run(); err != nil {
		t.Errorf("100 kilobytes of arguments: %v", err)
	}
}

func TestOutputKeepsStderr(t *testing.T) {
	c, _ := newClient(t)
	out, err := c.Command("sh", "-c", "echo out; echo err >&2; exit 3").Output()
	e, ok := errors.AsType[*client.ExitError](err)
	if !ok || string(e.Stderr) != "err\n" || e.ExitCode() != 3 || string(out) != "out\n" {
		t.Errorf("out %q, err %v", out, err)
	}
}

// TestBytes sends megabytes of noise through cat and wants them back.
func TestBytes(t *testing.T) {
	c, _ := newClient(t)
	in := make([]byte, 8<<20)
	rng := rand.NewChaCha8([32]byte{1})
	rng.Read(in)
	var out, errs bytes.Buffer
	cmd := c.Command("sh", "-c", "tee /dev/stderr")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(in), &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(out.Bytes(), in) || !bytes.Equal(errs.Bytes(), in) {
		t.Errorf("%d bytes in, %d out, %d on stderr, or not the same", len(in), out.Len(), errs.Len())
	}
}

// TestStreamsDoNotBlockEachOther reads all of stderr before any of stdout, which has far more than a window.
func TestStreamsDoNotBlockEachOther(t *testing.T) {
	c, _ := newClient(t)
	cmd := c.Command("sh", "-c", "head -c 1000000 /dev/zero & head -c 2000000 /dev/zero >&2; wait")
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	n, err := io.CopyN(io.Discard, stderr, 2000000) // not to its end: the shell has it open too, and waits for stdout's writer
	if err != nil {
		t.Errorf("stderr: %d bytes, %v", n, err)
	}
	if n, err = io.Copy(io.Discard, stdout); n != 1000000 || err != nil {
		t.Errorf("stdout: %d bytes, %v", n, err)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

func TestStdinPipe(t *testing.T) {
	c, _ := newClient(t)
	cmd := c.Command("cat")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 5)
	for i := range 3 {
		want := fmt.Sprintf("line%d", i)
		io.WriteString(in, want)
		if _, err := io.ReadFull(out, buf); err != nil || string(buf) != want {
			t.Fatalf("%q, %v, want %q", buf, err, want)
		}
	}
	in.Close()
	if _, err := out.Read(buf); err != io.EOF {
		t.Errorf("after the end: %v", err)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	if _, err := in.Write(buf); err == nil {
		t.Error("a write after Close must fail")
	}
}

// TestStdinIgnored: a process that does not read its input must end all the same, however much there is.
func TestStdinIgnored(t *testing.T) {
	c, _ := newClient(t)
	cmd := c.Command("true")
	cmd.Stdin = zeros{}
	if err := cmd.Run(); err != nil {
		t.Error(err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// TestBrokenPipe: when the host stops reading, the process meets SIGPIPE.
func TestBrokenPipe(t *testing.T) {
	c, _ := newClient(t)
	cmd := c.Command("cat", "/dev/zero")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(out, make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}
	out.Close()
	err = cmd.Wait()
	if e, ok := errors.AsType[*client.ExitError](err); !ok || e.Signal() != 13 {
		t.Errorf("ended with %v", err)
	}

	cmd = c.Command("cat", "/dev/zero")
	cmd.Stdout = failing{}
	err = cmd.Run()
	if e, ok := errors.AsType[*client.ExitError](err); !ok || e.Signal() != 13 || !errors.Is(err, errFull) {
		t.Errorf("ended with %v", err)
	}
}

var errFull = errors.New("disk full")

type failing struct{}

func (failing) Write(p []byte) (int, error) { return 0, errFull }

func TestOutputBound(t *testing.T) {
	c, _ := newClient(t)
	out, err := c.Command("cat", "/dev/zero").Output()
	if !errors.Is(err, client.ErrOutput) || len(out) > client.MaxOutput {
		t.Errorf("%d bytes, %v", len(out), err)
	}
}

// TestDaemon: a descendant that keeps the output open must not keep Wait, and what was printed must arrive.
func TestDaemon(t *testing.T) {
	c, _ := newClient(t)
	cmd := c.Command("sh", "-c", "echo started; setsid sleep 1000 & echo $!")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	first, pid, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	if first != "started" {
		t.Errorf("output %q", out)
	}
	n, err := strconv.Atoi(pid)
	if err != nil {
		t.Fatal(err)
	}
	p, err := os.FindProcess(n)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Kill(); err != nil {
		t.Errorf("a daemon outlives its parent's connection: %v", err)
	}
}

func TestSignal(t *testing.T) {
	c, _ := newClient(t)
	// The signal goes to the whole group: to cat as well, or the shell would wait for it. That cat answers shows that it runs:
	// a shell that has only forked may lose a signal by itself.
	cmd := c.Command("sh", "-c", "trap 'exit 9' TERM; cat; exit 1")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	io.WriteString(in, "up\n")
	if _, err := io.ReadFull(out, make([]byte, 3)); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Signal(client.Signal(15)); err != nil {
		t.Fatal(err)
	}
	if got := client.ExitCode(cmd.Wait()); got != 9 {
		t.Errorf("status %d", got)
	}
	if err := cmd.Process.Signal(2); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("a signal after the end: %v", err)
	}
}

func TestContext(t *testing.T) {
	c, _ := newClient(t)
	ctx, cancel := context.WithCancel(t.Context())
	cmd := c.CommandContext(ctx, "sh", "-c", "echo up; sleep 1000")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(out, make([]byte, 3)); err != nil {
		t.Fatal(err)
	}
	cancel()
	err = cmd.Wait()
	if !errors.Is(err, context.Canceled) || client.ExitCode(err) != 128+9 {
		t.Errorf("ended with %v", err)
	}
	if err := c.CommandContext(ctx, "true").Run(); !errors.Is(err, context.Canceled) {
		t.Errorf("started with a dead context: %v", err)
	}
}

func TestTTY(t *testing.T) {
	c, _ := newClient(t)
	cmd := c.Command("sh", "-c", "test -t 0 && test -t 1 && test -t 2 && stty size && echo $TERM && read x && stty size && echo got $x && tty")
	cmd.TTY, cmd.Size = true, client.Size{Rows: 33, Cols: 77}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	want := "33 77\r\nxterm\r\n"
	buf := make([]byte, len(want))
	if _, err := io.ReadFull(out, buf); err != nil || string(buf) != want {
		t.Fatalf("%q, %v, want %q", buf, err, want)
	}
	if err := cmd.Process.Resize(client.Size{Rows: 10, Cols: 20}); err != nil {
		t.Fatal(err)
	}
	io.WriteString(in, "word\n")
	rest, err := io.ReadAll(out)
	if err != nil {
		t.Fatal(err)
	}
	if want := "word\r\n10 20\r\ngot word\r\n/dev/pts/"; !strings.HasPrefix(string(rest), want) {
		t.Errorf("%q, want %q…", rest, want)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

// TestTTYControl: ^C on a terminal interrupts its foreground group, ^D ends input.
func TestTTYControl(t *testing.T) {
	c, _ := newClient(t)
	cmd := c.Command("cat")
	cmd.TTY = true
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	io.WriteString(in, "x\n")
	if _, err := io.ReadFull(out, make([]byte, len("x\r\nx\r\n"))); err != nil { // the terminal's echo, and cat's
		t.Fatal(err)
	}
	io.WriteString(in, "\x03")
	if err := cmd.Wait(); client.ExitCode(err) != 128+2 {
		t.Errorf("^C: %v", err)
	}
	cmd = c.Command("cat")
	cmd.TTY, cmd.Stdin = true, strings.NewReader("a line\n")
	b, err := cmd.Output()
	if err != nil || string(b) != "a line\r\na line\r\n" {
		t.Errorf("^D: %q, %v", b, err)
	}
}

// TestConnectionLost: a process ends with its connection, and the agent lives.
func TestConnectionLost(t *testing.T) {
	c, _ := newClient(t)
	cmd := c.Command("sh", "-c", "echo $$; exec cat")
	_, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, _ := cmd.StdoutPipe()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 16)
	n, err := out.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	client.CutConnection(cmd)
	if err := cmd.Wait(); client.ExitCode(err) != 125 {
		t.Errorf("without a connection Wait says %v", err)
	}
	pid := strings.TrimSpace(string(buf[:n]))
	for range 1000 { // the agent notices soon, not at once; each look is a round trip to it
		if err := c.CommandContext(ctx, "test", "-d", "/proc/"+pid).Run(); err != nil {
			return
		}
	}
	t.Errorf("process %s outlives its connection", pid)
}

func TestAgentDies(t *testing.T) {
	c, p := newClient(t)
	cmd := c.Command("cat")
	if _, err := cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p.Kill()
	if err := cmd.Wait(); err == nil || !errors.Is(err, io.ErrUnexpectedEOF) && !strings.Contains(err.Error(), "reset") {
		t.Errorf("the agent died and Wait says %v", err)
	}
}

// TestMany hammers the agent with processes at once, of all kinds.
func TestMany(t *testing.T) {
	c, _ := newClient(t)
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			for j := range 4 {
				want := fmt.Sprintf("%d-%d", i, j)
				cmd := c.Command("sh", "-c", "cat; echo err >&2; exit "+strconv.Itoa(i))
				cmd.Stdin = strings.NewReader(want)
				out, err := cmd.Output()
				if string(out) != want || client.ExitCode(err) != i {
					t.Errorf("%q, %v, want %q, %d", out, err, want, i)
				}
				if e, ok := errors.AsType[*client.ExitError](err); i > 0 && (!ok || string(e.Stderr) != "err\n") {
					t.Errorf("stderr of %v", err)
				}
			}
		})
	}
	wg.Wait()
	info, err := c.Info(t.Context())
	if err != nil || info.CPUs == 0 || info.Kernel == "" || info.MemoryBytes < 1<<20 || info.Uptime <= 0 {
		t.Errorf("info %+v, %v", info, err)
	}
}

func TestUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to become somebody else")
	}
	c, _ := newClient(t)
	cmd := c.Command("sh", "-c", "id -u; id -g; id -G")
	cmd.User = &client.User{UID: 1234, GID: 2345, Groups: []uint32{2345, 3456}}
	out, err := cmd.Output()
	if err != nil || string(out) != "1234\n2345\n2345 3456\n" {
		t.Errorf("%q, %v", out, err)
	}
}

func TestControl(t *testing.T) {
	c, _ := newClient(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := c.Ping(ctx); err != nil {
		t.Error(err)
	}
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			if _, err := c.Info(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}
