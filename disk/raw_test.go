package disk_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/husk-vm/husk/disk"
	"github.com/husk-vm/husk/disk/disktest"
)

// sparse makes a file of size bytes without storage.
func sparse(t *testing.T, size int64) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "disk.img")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, size); err != nil {
		t.Fatal(err)
	}
	return path
}

func openRaw(t *testing.T, path string, flags disk.Flags) *disk.Raw {
	t.Helper()
	r, err := disk.OpenRaw(path, flags)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

func TestRaw(t *testing.T) {
	disktest.Run(t, func(t *testing.T, size int64) func(disk.Flags) (disktest.Image, error) {
		path := sparse(t, size)
		return func(flags disk.Flags) (disktest.Image, error) {
			r, err := disk.OpenRaw(path, flags)
			if err != nil {
				return nil, err
			}
			return r, nil
		}
	})
}

func TestOpenRawRefuses(t *testing.T) {
	dir := t.TempDir()
	secret := filepath.Join(dir, "secret")
	if err := os.WriteFile(secret, nil, 0); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, path, text string
		is               error
	}{
		{name: "missing", path: filepath.Join(dir, "none"), text: "no such file or directory", is: fs.ErrNotExist},
		{name: "directory", path: dir, text: "is a directory"},
		{name: "through a file", path: filepath.Join(secret, "x"), text: "not a directory"},
		{name: "character device", path: os.DevNull, text: "is neither a file nor a block device"},
		{name: "unreadable", path: secret, text: "permission denied", is: fs.ErrPermission},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.name == "unreadable" && os.Geteuid() == 0 {
				t.Skip("root may read everything")
			}
			_, err := disk.OpenRaw(c.path, 0)
			if err == nil || err.Error() != "disk: open "+c.path+": "+c.text || c.is != nil && !errors.Is(err, c.is) {
				t.Errorf("%v, want %q", err, c.text)
			}
		})
	}
	path := sparse(t, 512)
	openRaw(t, path, 0)
	if _, err := disk.OpenRaw(path, 0); err == nil || err.Error() != "disk: open "+path+": in use by another process" {
		t.Errorf("second opener: %v", err)
	}
}

func TestRawResize(t *testing.T) {
	path := sparse(t, 1000)
	r := openRaw(t, path, 0)
	if _, err := r.WriteAt(bytes.Repeat([]byte{5}, 1024), 0); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ size, want int64 }{{4096, 4096}, {700, 1024}, {1 << 20, 1 << 20}, {0, 0}, {512, 512}} {
		if err := r.Resize(c.size); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil || r.Size() != c.want || info.Size() != c.want {
			t.Errorf("resized to %d: size %d, file %d, %v", c.size, r.Size(), info.Size(), err)
		}
	}
	got := make([]byte, 512)
	if _, err := r.ReadAt(got, 0); err != nil || !bytes.Equal(got, make([]byte, 512)) {
		t.Errorf("new bytes after shrinking to nothing: % x…, %v", got[:4], err)
	}
	if err := r.Resize(-1); err == nil {
		t.Error("negative size: no error")
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if err := openRaw(t, path, disk.ReadOnly).Resize(4096); err == nil || !strings.Contains(err.Error(), "read-only") {
		t.Errorf("read-only: %v", err)
	}
}

// TestRawOddLength sees on a real file what TestOddLength sees on a model.
func TestRawOddLength(t *testing.T) {
	path := filepath.Join(t.TempDir(), "disk.img")
	if err := os.WriteFile(path, []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := openRaw(t, path, 0)
	got := make([]byte, 512)
	if n, err := r.ReadAt(got, 0); r.Size() != 512 || n != 512 || err != nil || string(bytes.TrimRight(got, "\x00")) != "short" {
		t.Fatalf("size %d, read %d, %v, %q", r.Size(), n, err, got)
	}
	if _, err := r.WriteAt(got, 0); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Size() != 512 {
		t.Errorf("file of %d bytes after its last sector was written, %v", info.Size(), err)
	}
}
