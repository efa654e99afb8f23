package lab

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

// TestCpioBytes pins an archive; `cpio -itv` lists it as
//
//	drwxr-xr-x   2 root root      0 … d
//	crw-------   1 root root   5, 1 … d/console
//	-rwxr-xr-x   1 root root      5 … f
func TestCpioBytes(t *testing.T) {
	var buf bytes.Buffer
	c := &cpioWriter{w: &buf}
	c.dir("d")
	c.char("d/console", 0o600, 5, 1)
	c.file("f", 0o755, []byte("hello"))
	if err := c.close(); err != nil {
		t.Fatal(err)
	}
	const zero = "00000000"
	want := strings.Join([]string{
		"070701", "00000001", "000041ED", zero, zero, "00000002", zero, zero, zero, zero, zero, zero, "00000002", zero, "d\x00",
		"070701", "00000002", "00002180", zero, zero, "00000001", zero, zero, zero, zero, "00000005", "00000001", "0000000A", zero, "d/console\x00",
		"070701", "00000003", "000081ED", zero, zero, "00000001", zero, "00000005", zero, zero, zero, zero, "00000002", zero, "f\x00",
		"hello\x00\x00\x00",
		"070701", "00000004", zero, zero, zero, "00000001", zero, zero, zero, zero, zero, zero, "0000000B", zero, "TRAILER!!!\x00\x00\x00\x00",
	}, "")
	if got := buf.String(); got != want {
		t.Errorf("archive:\n%q\nwant:\n%q", got, want)
	}
	if buf.Len()%4 != 0 {
		t.Errorf("archive of %d bytes: not a multiple of 4", buf.Len())
	}
}

type failingWriter struct{ err error }

func (w failingWriter) Write([]byte) (int, error) { return 0, w.err }

func TestCpioReportsFirstError(t *testing.T) {
	want := errors.New("no space")
	c := &cpioWriter{w: failingWriter{want}}
	c.dir("d")
	c.file("d/f", 0o644, nil)
	if err := c.close(); err != want {
		t.Errorf("close: %v, want %v", err, want)
	}
}
