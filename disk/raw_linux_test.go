package disk_test

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/husk-vm/husk/disk"
)

// stored is how many bytes of storage a file has.
func stored(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Sys().(*syscall.Stat_t).Blocks * 512
}

// TestDiscardFrees looks at the storage of a file.
func TestDiscardFrees(t *testing.T) {
	const size = 4 << 20
	path := sparse(t, size)
	r := openRaw(t, path, 0)
	fill := func() {
		if _, err := r.WriteAt(make([]byte, size), 0); err != nil {
			t.Fatal(err)
		}
		if err := r.Sync(); err != nil {
			t.Fatal(err)
		}
	}
	fill()
	full := stored(t, path)
	if full < size {
		t.Skipf("%d bytes of storage for %d of zeros: the file system compresses", full, size)
	}
	if err := r.Discard(1<<20, 2<<20); errors.Is(err, errors.ErrUnsupported) {
		t.Skipf("the file system has no holes: %v", err)
	} else if err != nil {
		t.Fatal(err)
	}
	if n := full - stored(t, path); n != 2<<20 {
		t.Errorf("discard freed %d bytes", n)
	}
	fill()
	if err := r.WriteZeroes(0, size, true); err != nil {
		t.Fatal(err)
	}
	if n := full - stored(t, path); n < size {
		t.Errorf("write zeroes with unmap freed %d bytes", n)
	}
	fill()
	if err := r.WriteZeroes(0, size, false); err != nil {
		t.Fatal(err)
	}
	if n := full - stored(t, path); n != 0 {
		t.Errorf("write zeroes without unmap freed %d bytes", n)
	}
}

func TestRawNoAllocations(t *testing.T) {
	r := openRaw(t, sparse(t, 1<<20), 0)
	p := make([]byte, 4096)
	bufs := [][]byte{p[:512], p[512:1024], p[1024:]}
	check := func(name string, f func() error) {
		t.Helper()
		n := testing.AllocsPerRun(200, func() {
			if err := f(); err != nil {
				t.Fatal(err)
			}
		})
		if n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
	check("read", func() error { _, err := r.ReadAt(p, 4096); return err })
	check("write", func() error { _, err := r.WriteAt(p, 4096); return err })
	if !raceEnabled { // the race detector makes sync.Pool forget at random
		checkVectors(check, r, bufs)
	}
	check("sync", r.Sync)
	check("write zeroes", func() error { return r.WriteZeroes(0, 4096, false) })
}

func checkVectors(check func(string, func() error), r *disk.Raw, bufs [][]byte) {
	check("vector read", func() error { _, err := r.ReadvAt(bufs, 4096); return err })
	check("vector write", func() error { _, err := r.WritevAt(bufs, 4096); return err })
}

// TestFIFO must not wait for somebody to write to the pipe.
func TestFIFO(t *testing.T) {
	path := sparse(t, 0)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := disk.OpenRaw(path, 0); err == nil || !strings.Contains(err.Error(), "neither a file nor a block device") {
		t.Errorf("%v", err)
	}
}

// TestBlockDevice opens a loop device over a file.
func TestBlockDevice(t *testing.T) {
	const size = 8 << 20
	path := sparse(t, size)
	out, err := exec.Command("losetup", "--find", "--show", path).CombinedOutput()
	if err != nil {
		t.Skipf("no loop device here: %v: %s", err, out)
	}
	dev := strings.TrimSpace(string(out))
	t.Cleanup(func() {
		if out, err := exec.Command("losetup", "--detach", dev).CombinedOutput(); err != nil {
			t.Errorf("losetup: %v: %s", err, out)
		}
	})
	r := openRaw(t, dev, 0)
	if r.Size() != size {
		t.Errorf("size %d, want %d", r.Size(), size)
	}
	if _, err := disk.OpenRaw(dev, 0); err == nil {
		t.Error("second opener: no error")
	}
	if _, err := r.WriteAt([]byte("on the device"), 512); err != nil {
		t.Fatal(err)
	}
	if err := r.WriteZeroes(0, 512, false); err != nil {
		t.Error(err)
	}
	if err := r.Discard(1<<20, 1<<20); err != nil && !errors.Is(err, errors.ErrUnsupported) {
		t.Error(err)
	}
	if err := r.Sync(); err != nil {
		t.Error(err)
	}
	if err := r.Resize(size * 2); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("resize: %v", err)
	}
	got := make([]byte, 13)
	if f, err := os.Open(path); err != nil {
		t.Error(err)
	} else if _, err := f.ReadAt(got, 512); err != nil || string(got) != "on the device" {
		t.Errorf("the file behind the device has %q, %v", got, err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}
