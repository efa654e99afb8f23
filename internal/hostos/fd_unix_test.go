//go:build unix

package hostos

import (
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"
)

// isOpen asks the kernel.
func isOpen(fd int) bool {
	_, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	return err == nil
}

func openNull(t *testing.T) *FD {
	t.Helper()
	f, err := OpenFD(os.DevNull, os.O_RDWR)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestFDClosesWhenTheLastUserLeaves(t *testing.T) {
	f := openNull(t)
	fd, err := f.Acquire()
	if err != nil {
		t.Fatal(err)
	}
	if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("descriptor flags %#x, %v: not closed on exec", flags, err)
	}
	if _, err := f.Acquire(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := f.Acquire(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("acquired after close: %v", err)
	}
	f.Release()
	if !isOpen(fd) {
		t.Error("closed under its user")
	}
	f.Release()
	if isOpen(fd) {
		t.Error("still open")
	}
}

func TestFDCloseWithoutUsers(t *testing.T) {
	f := openNull(t)
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if isOpen(f.fd) {
		t.Error("still open")
	}
}

func TestOpenFDSaysWhat(t *testing.T) {
	_, err := OpenFD("/nowhere/at/all", os.O_RDONLY)
	if !errors.Is(err, os.ErrNotExist) || err.Error() != "open /nowhere/at/all: no such file or directory" {
		t.Errorf("%v", err)
	}
}

// TestFDHammer closes under load, while someone takes every number that becomes free: whoever acquired one must never
// find another file behind it.
func TestFDHammer(t *testing.T) {
	var stop atomic.Bool
	var taker sync.WaitGroup
	taker.Go(func() {
		for !stop.Load() {
			if fd, err := unix.Open(os.DevNull, unix.O_RDONLY|unix.O_CLOEXEC, 0); err == nil {
				unix.Close(fd)
			}
		}
	})
	for range 500 {
		f, err := OpenFD(os.DevNull, os.O_WRONLY) // writing to the taker's files fails
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				for {
					fd, err := f.Acquire()
					if err != nil {
						return
					}
					if _, err := unix.Write(fd, []byte("x")); err != nil {
						t.Errorf("write to an acquired descriptor: %v", err)
					}
					f.Release()
				}
			})
		}
		for range 2 {
			wg.Go(func() { _ = f.Close() })
		}
		wg.Wait()
	}
	stop.Store(true)
	taker.Wait()
}
