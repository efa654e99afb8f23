//go:build linux

package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/husk-vm/husk/guest/kernel"
)

// huskBin is the program under test.
func huskBin(t *testing.T) string {
	t.Helper()
	name := os.Getenv("HUSK_BIN")
	if name == "" {
		t.Fatal("HUSK_BIN names no husk program: use make e2e")
	}
	return name
}

// husk is a run of the program with a limit that no run should meet, and a temporary directory that must end up empty.
func husk(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, huskBin(t), args...)
	tmp := t.TempDir()
	cmd.Env = append(os.Environ(), "TMPDIR="+tmp)
	t.Cleanup(func() {
		if left, err := os.ReadDir(tmp); err != nil || len(left) > 0 {
			t.Errorf("left in the temporary directory: %v, %v", left, err)
		}
	})
	return cmd
}

// outcome runs cmd and returns its exit code and output.
func outcome(t *testing.T, cmd *exec.Cmd) (code int, stdout, stderr string) {
	t.Helper()
	var o, e bytes.Buffer
	if cmd.Stdout == nil {
		cmd.Stdout = &o
	}
	cmd.Stderr = &e
	err := cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		code = exit.ExitCode()
	} else if err != nil {
		t.Fatal(err)
	}
	return code, o.String(), e.String()
}

func TestRunStreams(t *testing.T) {
	needKVM(t)
	for _, tt := range []struct {
		name   string
		args   []string
		stdin  string
		code   int
		stdout string
		stderr string
	}{
		{"streams apart", []string{"--", "sh", "-c", "cat; echo err >&2; exit 7"}, "in", 7, "in", "err\n"},
		{"environment, directory", []string{"-e", "A=b c", "-w", "/tmp", "--", "sh", "-c", "echo $A; pwd"}, "", 0, "b c\n/tmp\n", ""},
		{"user", []string{"-u", "1000", "--", "id", "-u"}, "", 0, "1000\n", ""},
		{"killed by a signal", []string{"--", "sh", "-c", "kill -9 $$"}, "", 137, "", ""},
		{"not found", []string{"--", "nosuch"}, "", 127, "", "nosuch"},
		{"not executable", []string{"--", "/proc/version"}, "", 126, "", "permission denied"},
		{"command sees its arguments", []string{"--cpus", "2", "--", "echo", "a  b", "", "-n"}, "", 0, "a  b  -n\n", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cmd := husk(t, append([]string{"run", "-m", "128M"}, tt.args...)...)
			cmd.Stdin = strings.NewReader(tt.stdin)
			code, stdout, stderr := outcome(t, cmd)
			if code != tt.code || stdout != tt.stdout || !strings.Contains(stderr, tt.stderr) || tt.stderr == "" && stderr != "" {
				t.Errorf("code %d, stdout %q, stderr %q; want %d, %q, %q", code, stdout, stderr, tt.code, tt.stdout, tt.stderr)
			}
		})
	}
}

// TestRunIsByteExact sends every byte there is through a guest and back.
func TestRunIsByteExact(t *testing.T) {
	needKVM(t)
	want := make([]byte, 4<<20)
	io.ReadFull(pattern(9), want)
	cmd := husk(t, "run", "--", "cat")
	cmd.Stdin = bytes.NewReader(want)
	code, stdout, stderr := outcome(t, cmd)
	if code != 0 || stdout != string(want) {
		t.Errorf("code %d, %d bytes of %d, stderr %q", code, len(stdout), len(want), stderr)
	}
}

// TestRunClosedOutput lets the reader of an endless command go away.
func TestRunClosedOutput(t *testing.T) {
	needKVM(t)
	cmd := husk(t, "run", "-m", "128M", "--", "yes")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(out, make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	out.Close()
	cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 128+int(syscall.SIGPIPE) {
		t.Errorf("exit code %d, want that of a command killed by SIGPIPE", code)
	}
}

// TestRunBadInput gives husk what it cannot use. Each time: one line that tells all, and exit code 125.
func TestRunBadInput(t *testing.T) {
	needKVM(t)
	dir := t.TempDir()
	image := make([]byte, kernel.Image().Size())
	kernel.Image().ReadAt(image, 0)
	file := func(name string, content []byte) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return p
	}
	text := file("text", []byte(strings.Repeat("not a kernel\n", 1000)))
	short := file("short", image[:len(image)/2])
	empty := file("empty", nil)
	big := file("big", nil)
	if err := os.Truncate(big, 512<<20); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		args []string
		want string
	}{
		{"not a kernel", []string{"--kernel", text}, "not a"},
		{"empty kernel", []string{"--kernel", empty}, "kernel"},
		{"truncated kernel", []string{"--kernel", short}, "missing"},
		{"missing kernel", []string{"--kernel", filepath.Join(dir, "nosuch")}, "no such file"},
		{"kernel is a directory", []string{"--kernel", dir}, "directory"},
		{"initrd larger than memory", []string{"--initrd", big, "-m", "256M"}, "initrd"},
		{"empty initrd", []string{"--initrd", empty}, "initrd"},
		{"missing disk", []string{"--disk", filepath.Join(dir, "nosuch")}, "no such file"},
		{"disk is a directory", []string{"--disk", dir}, "directory"},
		{"bad disk option", []string{"--disk", big + ",rw"}, "unknown option"},
		{"zero CPUs", []string{"--cpus", "0"}, "at least 1"},
		{"too many CPUs", []string{"--cpus", "10000"}, "at most"},
		{"no memory", []string{"-m", "0"}, "at least"},
		{"more memory than the host has", []string{"-m", "400G"}, "host has"},
		{"nonsense for memory", []string{"-m", "lots"}, "size"},
		{"unknown back end", []string{"--backend", "bochs"}, "bochs"},
		{"long command line", []string{"--cmdline", strings.Repeat("x", 1<<16)}, "command line"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			code, stdout, stderr := outcome(t, husk(t, append(append([]string{"run"}, tt.args...), "--", "true")...))
			if code != 125 || stdout != "" || !strings.Contains(stderr, tt.want) || !strings.HasPrefix(stderr, "husk: ") || strings.Count(stderr, "\n") != 1 {
				t.Errorf("code %d, stdout %q, stderr %q; want 125 and one line with %q", code, stdout, stderr, tt.want)
			}
		})
	}
}

// TestRunGuestFails runs guests that do not get as far as the command.
func TestRunGuestFails(t *testing.T) {
	needKVM(t)
	for _, tt := range []struct {
		name string
		args []string
		code int
		want []string
	}{
		{"kernel panic", []string{"--initrd", "none", "--", "true"}, 125, []string{"kernel panic", "Unable to mount root fs"}},
		{"guest that never answers", []string{"--cmdline", "console=ttyS0 quiet rdinit=/bin/sleep -- 1000", "--ready-timeout", "10s", "--", "true"}, 125, []string{"did not answer", "reached"}},
		{"time is up", []string{"--timeout", "15s", "--", "sleep", "1000"}, 124, []string{"timed out after 15s"}},
		{"guest powers off", []string{"--", "sh", "-c", "echo o >/proc/sysrq-trigger; sleep 1000"}, 125, []string{"the guest ended: shutdown"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			code, stdout, stderr := outcome(t, husk(t, append([]string{"run", "-m", "128M"}, tt.args...)...))
			if code != tt.code || stdout != "" {
				t.Errorf("code %d, stdout %q", code, stdout)
			}
			for _, want := range tt.want {
				if !strings.Contains(stderr, want) {
					t.Errorf("stderr %q lacks %q", stderr, want)
				}
			}
		})
	}
}

// TestRunInterrupted interrupts a run at several stages. Nothing is left, whatever the stage.
func TestRunInterrupted(t *testing.T) {
	needKVM(t)
	for _, tt := range []struct {
		name  string
		after time.Duration
		times int
	}{{"at once", 0, 3}, {"while booting", 500 * time.Millisecond, 3}, {"while the command runs", -1, 1}} {
		t.Run(tt.name, func(t *testing.T) {
			cmd := husk(t, "run", "-m", "128M", "--", "sh", "-c", "echo ready; sleep 1000")
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			if tt.after < 0 {
				if _, err := io.ReadFull(out, make([]byte, len("ready\n"))); err != nil {
					t.Fatal(err)
				}
			} else {
				time.Sleep(tt.after) // the stage under test
			}
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				cmd.Wait()
			}()
			for range tt.times {
				cmd.Process.Signal(syscall.SIGINT)
				select {
				case <-ended:
				case <-time.After(5 * time.Second):
				}
			}
			select {
			case <-ended:
			case <-time.After(time.Minute):
				t.Fatal("still there a minute after the interrupt")
			}
			if code := cmd.ProcessState.ExitCode(); code != 130 && !cmd.ProcessState.Sys().(syscall.WaitStatus).Signaled() {
				t.Errorf("exit code %d", code)
			}
			noChildren(t)
		})
	}
}

// TestRunKilled kills husk the hard way: the VM's process notices and goes.
func TestRunKilled(t *testing.T) {
	needKVM(t)
	cmd := husk(t, "run", "-m", "128M", "--", "sh", "-c", "echo ready; sleep 1000")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(out, make([]byte, len("ready\n"))); err != nil {
		t.Fatal(err)
	}
	cmd.Process.Kill()
	// The child holds the other end of the pipe: when it is gone, the pipe ends.
	done := make(chan struct{})
	go func() {
		defer close(done)
		io.Copy(io.Discard, out)
	}()
	select {
	case <-done:
	case <-time.After(time.Minute):
		t.Error("the VM's process lives on")
	}
	cmd.Wait()
	noChildren(t)
}

// noChildren waits until no `husk vm` process is left.
func noChildren(t *testing.T) {
	t.Helper()
	var left []string
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		left = nil
		names, _ := filepath.Glob("/proc/[0-9]*/cmdline")
		for _, name := range names {
			b, _ := os.ReadFile(name)
			if args := strings.Split(string(b), "\x00"); len(args) > 1 && filepath.Base(args[0]) == "husk" && args[1] == "vm" {
				left = append(left, fmt.Sprint(name, args))
			}
		}
		if len(left) == 0 {
			return
		}
	}
	t.Errorf("left behind: %v", left)
}

// TestRunHostProgram runs a program of the host in the guest, with its testdata: this test, as a helper.
func TestRunHostProgram(t *testing.T) {
	needKVM(t)
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "testdata", "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "testdata", "sub", "f"), []byte("from the host"), 0o644); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := husk(t, "run", "--exec", "--cpus", "3", "-e", helperEnv+"=show", "--", self, "testdata/sub/f")
	cmd.Dir = dir
	code, stdout, stderr := outcome(t, cmd)
	if want := "husk 3 from the host"; code != 0 || !strings.Contains(stdout, want) {
		t.Errorf("code %d, stdout %q, stderr %q; want %q", code, stdout, stderr, want)
	}
}
