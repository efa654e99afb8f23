//go:build linux

package e2e

import (
	"bytes"
	"context"
	"crypto/sha256"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/husk-vm/husk/disk"
	"github.com/husk-vm/husk/husktest"
	"github.com/husk-vm/husk/vmm"
)

// needKVM skips where no back end is usable. `make e2e` runs these tests in the lab then; a skip there is a failure.
func needKVM(t *testing.T) {
	t.Helper()
	for _, b := range vmm.Backends(context.Background()) {
		if b.Usable {
			return
		}
		t.Skipf("%s: %s", b.Name, b.Reason)
	}
	t.Skip("no back end for this system")
}

// helperPath is where install puts this binary in the guest.
const helperPath = "/tmp/e2e.test"

// install copies this binary into the guest.
func install(t *testing.T, vm *husktest.VM) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := vm.Put(self, helperPath); err != nil {
		t.Fatalf("copy the helper into the guest: %v", err)
	}
}

// helper is a command that runs one of helpers in the guest.
func helper(vm *husktest.VM, name string, args ...string) *husktest.Cmd {
	cmd := vm.Command(helperPath, args...)
	cmd.Env = []string{helperEnv + "=" + name}
	return cmd
}

// run runs cmd and fails the test where it fails.
func run(t *testing.T, cmd *husktest.Cmd) string {
	t.Helper()
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s%s", strings.Join(cmd.Args, " "), err, out, &stderr)
	}
	return string(out)
}

// rawDisk makes an empty disk image.
func rawDisk(t *testing.T, size int64) *disk.Raw {
	t.Helper()
	name := filepath.Join(t.TempDir(), "disk.raw")
	f, err := os.Create(name)
	if err == nil {
		err = f.Truncate(size)
	}
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	d, err := disk.OpenRaw(name, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// openFile opens a file for the time of the test.
func openFile(t *testing.T, name string) vmm.Source {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	st, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	return io.NewSectionReader(f, 0, st.Size())
}

// digest is the SHA-256 of the first n bytes of a pattern.
func digest(seed uint64, n int64) []byte {
	h := sha256.New()
	io.CopyN(h, pattern(seed), n)
	return h.Sum(nil)
}
