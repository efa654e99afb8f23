//go:build linux

package e2e

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// screen is the master end of a terminal and what was printed on it.
type screen struct {
	t      *testing.T
	master *os.File
	slave  *os.File
	mu     sync.Mutex
	text   strings.Builder // guarded by mu
}

func newScreen(t *testing.T) *screen {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { master.Close() })
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { slave.Close() })
	s := &screen{t: t, master: master, slave: slave}
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := master.Read(buf)
			s.mu.Lock()
			s.text.Write(buf[:n])
			s.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	return s
}

func (s *screen) resize(cols, rows uint16) {
	s.t.Helper()
	if err := unix.IoctlSetWinsize(int(s.master.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Col: cols, Row: rows}); err != nil {
		s.t.Fatal(err)
	}
}

// await waits until text stands on the screen.
func (s *screen) await(text string) {
	s.t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		s.mu.Lock()
		got := s.text.String()
		s.mu.Unlock()
		if strings.Contains(got, text) {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("no %q on the screen:\n%s", text, got)
		}
	}
}

func (s *screen) state() unix.Termios {
	s.t.Helper()
	st, err := unix.IoctlGetTermios(int(s.slave.Fd()), unix.TCGETS)
	if err != nil {
		s.t.Fatal(err)
	}
	return *st
}

// TestRunTerminal gives a shell in the guest a terminal: size, resizing, Ctrl-C, and the terminal as it was afterwards.
func TestRunTerminal(t *testing.T) {
	needKVM(t)
	s := newScreen(t)
	s.resize(91, 31)
	before := s.state()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := husk(t, "run", "-m", "128M", "-t", "-e", helperEnv+"=terminal", "--exec", "--", self)
	cmd.Env = append(cmd.Env, "TERM=vt220")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = s.slave, s.slave, s.slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s.await("size 91x31 term vt220")
	s.resize(120, 40) // the kernel tells husk with SIGWINCH
	s.await("size 120x40")
	s.master.WriteString("hello\r")
	s.await("line hello")
	s.master.WriteString("\x03")
	s.await("interrupted")
	cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 5 {
		t.Errorf("exit code %d after Ctrl-C", code)
	}
	if after := s.state(); after != before {
		t.Errorf("the terminal is left in another state:\n%+v\n%+v", after, before)
	}
}

// TestTerminalAfterKill kills husk while the terminal is raw: the VM's process puts it back.
func TestTerminalAfterKill(t *testing.T) {
	needKVM(t)
	s := newScreen(t)
	before := s.state()
	cmd := husk(t, "run", "-m", "128M", "-t", "--", "sh", "-c", "echo up; sleep 1000")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = s.slave, s.slave, s.slave
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s.await("up")
	if s.state() == before {
		t.Error("the terminal is not raw")
	}
	cmd.Process.Kill()
	cmd.Wait()
	noChildren(t)
	if after := s.state(); after != before {
		t.Errorf("the terminal is left in another state:\n%+v\n%+v", after, before)
	}
}
