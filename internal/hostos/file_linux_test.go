package hostos_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/husk-vm/husk/internal/hostos"
)

func tempFile(t *testing.T, data []byte) (*os.File, *hostos.FD) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	fd, err := hostos.DupFD(f)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		f.Close()
		fd.Close()
	})
	return f, fd
}

func TestVectors(t *testing.T) {
	data := make([]byte, 3000)
	for i := range data {
		data[i] = byte(i * 13)
	}
	_, fd := tempFile(t, data)
	v := new(hostos.Vector)
	got := make([]byte, 2000)
	if n, err := fd.Preadv(v, [][]byte{got[:0], got[:1], got[1:1500], nil, got[1500:]}, 500); n != 2000 || err != nil || !bytes.Equal(got, data[500:2500]) {
		t.Errorf("preadv: %d, %v", n, err)
	}
	if n, err := fd.Preadv(v, [][]byte{got[:100], got[100:]}, 2900); n != 100 || err != nil || !bytes.Equal(got[:100], data[2900:]) {
		t.Errorf("preadv over the end: %d, %v", n, err)
	}
	if n, err := fd.Preadv(v, [][]byte{got}, 3000); n != 0 || err != nil {
		t.Errorf("preadv at the end: %d, %v", n, err)
	}
	var ones [][]byte
	for i := range 1500 {
		ones = append(ones, got[i:i+1])
	}
	if n, err := fd.Preadv(v, ones, 0); n != 1024 || err != nil || !bytes.Equal(got[:1024], data[:1024]) {
		t.Errorf("preadv of 1500 pieces: %d, %v", n, err)
	}
	const far = 5 << 32 // more than 32 bits of offset arrive
	if n, err := fd.Pwritev(v, [][]byte{[]byte("fa"), nil, []byte("r")}, far); n != 3 || err != nil {
		t.Fatalf("pwritev: %d, %v", n, err)
	}
	if n, err := fd.Pread(got[:4], far-1); n != 4 || err != nil || string(got[:4]) != "\x00far" {
		t.Errorf("read back %q, %d, %v", got[:4], n, err)
	}
	if n, err := fd.Pwrite([]byte("x"), far); n != 1 || err != nil {
		t.Errorf("pwrite: %d, %v", n, err)
	}
	if n := testing.AllocsPerRun(100, func() {
		if _, err := fd.Preadv(v, ones[:8], 0); err != nil {
			t.Fatal(err)
		}
		if _, err := fd.Pread(got, 0); err != nil {
			t.Fatal(err)
		}
		if _, err := fd.Pwrite(got[:8], 0); err != nil {
			t.Fatal(err)
		}
		if _, err := fd.Pwritev(v, ones[:8], 0); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	fd.Close()
	if _, err := fd.Preadv(v, ones, 0); !errors.Is(err, os.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	if _, err := fd.Pread(got, 0); !errors.Is(err, os.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

func TestHoles(t *testing.T) {
	f, fd := tempFile(t, bytes.Repeat([]byte{7}, 64<<10))
	for name, zero := range map[string]func(off, n int64) error{"punch": fd.PunchHole, "zero": fd.ZeroRange} {
		if _, err := fd.Pwrite(bytes.Repeat([]byte{7}, 64<<10), 0); err != nil {
			t.Fatal(err)
		}
		if err := zero(1000, 20000); errors.Is(err, errors.ErrUnsupported) {
			t.Logf("%s: this file system cannot: %v", name, err)
			continue
		} else if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got := make([]byte, 64<<10)
		if _, err := fd.Pread(got, 0); err != nil {
			t.Fatal(err)
		}
		for i, b := range got {
			if want := i < 1000 || i >= 21000; (b == 7) != want || b != 0 && b != 7 {
				t.Fatalf("%s: byte %d is %d", name, i, b)
			}
		}
		if err := zero(60<<10, 1<<20); err != nil {
			t.Errorf("%s over the end: %v", name, err)
		}
		if info, err := f.Stat(); err != nil || info.Size() != 64<<10 {
			t.Errorf("%s: length %d, %v", name, info.Size(), err)
		}
	}
	if err := fd.Truncate(100); err != nil {
		t.Error(err)
	}
	if info, err := f.Stat(); err != nil || info.Size() != 100 {
		t.Errorf("length %d, %v", info.Size(), err)
	}
	if err := fd.Datasync(); err != nil {
		t.Error(err)
	}
}

func TestLocks(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	var files [3]*os.File
	for i := range files {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		files[i] = f
	}
	if err := hostos.LockShared(files[0]); err != nil {
		t.Fatal(err)
	}
	if err := hostos.LockShared(files[1]); err != nil {
		t.Errorf("second shared lock: %v", err)
	}
	if err := hostos.LockExclusive(files[2]); err != hostos.ErrLocked {
		t.Errorf("exclusive beside shared locks: %v", err)
	}
	files[0].Close()
	if err := hostos.LockExclusive(files[1]); err != nil {
		t.Errorf("exclusive instead of the last shared one: %v", err)
	}
	if err := hostos.LockShared(files[2]); err != hostos.ErrLocked {
		t.Errorf("shared beside an exclusive lock: %v", err)
	}
	// The lock goes with the last descriptor of what is open, not with the first one closed.
	fd, err := hostos.DupFD(files[1])
	if err != nil {
		t.Fatal(err)
	}
	files[1].Close()
	if err := hostos.LockShared(files[2]); err != hostos.ErrLocked {
		t.Errorf("shared while a duplicate is open: %v", err)
	}
	fd.Close()
	if err := hostos.LockShared(files[2]); err != nil {
		t.Errorf("after the last descriptor: %v", err)
	}
	if err := hostos.LockShared(files[0]); err == nil {
		t.Error("a closed file: no error")
	}
}
