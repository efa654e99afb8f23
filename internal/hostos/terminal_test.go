//go:build linux

package hostos

import (
	"bytes"
	"fmt"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// openPTY returns both ends of a pseudo-terminal.
func openPTY(t *testing.T) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skip("no pseudo-terminals here:", err)
	}
	t.Cleanup(func() { master.Close() })
	fd := int(master.Fd())
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { slave.Close() })
	return master, slave
}

func TestTerminal(t *testing.T) {
	master, slave := openPTY(t)
	if !IsTerminal(slave) {
		t.Fatal("a terminal is not recognised")
	}
	if err := unix.IoctlSetWinsize(int(master.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 12, Col: 34}); err != nil {
		t.Fatal(err)
	}
	if cols, rows, err := TerminalSize(slave); err != nil || cols != 34 || rows != 12 {
		t.Errorf("size %dx%d, %v; want 34x12", cols, rows, err)
	}
	before, _ := terminalState(slave)
	saved, err := MakeRaw(slave)
	if err != nil {
		t.Fatal(err)
	}
	// Raw: a carriage return arrives as it is, at once, and is not echoed.
	master.Write([]byte("\x03\r"))
	got := make([]byte, 2)
	if n, err := slave.Read(got); err != nil || !bytes.Equal(got[:n], []byte("\x03\r")) {
		t.Errorf("read %q, %v", got[:n], err)
	}
	if err := RestoreTerminal(slave, saved); err != nil {
		t.Fatal(err)
	}
	if after, _ := terminalState(slave); *after != *before {
		t.Errorf("restored state differs:\n%+v\n%+v", after, before)
	}
	if err := RestoreTerminal(slave, saved[:3]); err == nil {
		t.Error("a short state was accepted")
	}
}

func TestNoTerminal(t *testing.T) {
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if IsTerminal(f) || IsTerminal(nil) {
		t.Error("not a terminal, but taken for one")
	}
	if _, err := MakeRaw(f); err == nil {
		t.Error("made raw")
	}
}

func TestSocketPair(t *testing.T) {
	a, b, err := SocketPair()
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if _, err := a.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	a.Close()
	p := make([]byte, 4)
	if n, err := b.Read(p); n != 1 || err != nil {
		t.Errorf("read %d, %v", n, err)
	}
	if n, err := b.Read(p); n != 0 || err == nil {
		t.Errorf("read %d, %v after the other end was closed", n, err)
	}
}
