package disk_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/husk-vm/husk/disk"
	"github.com/husk-vm/husk/disk/disktest"
)

// createRaw makes a sparse file.
func createRaw(t *testing.T, size int64) func(disk.Flags) (disktest.Image, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "disk.img")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, size); err != nil {
		t.Fatal(err)
	}
	return func(flags disk.Flags) (disktest.Image, error) {
		r, err := disk.OpenRaw(path, flags)
		if err != nil {
			return nil, err
		}
		return r, nil
	}
}

func TestRaw(t *testing.T) { disktest.Run(t, createRaw) }
