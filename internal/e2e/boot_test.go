//go:build linux

package e2e

import (
	"bytes"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/husk-vm/husk/guest/initramfs"
	builtin "github.com/husk-vm/husk/guest/kernel"
	"github.com/husk-vm/husk/husktest"
	"github.com/husk-vm/husk/vmm"
)

// cloudKernel is the distribution's kernel for virtual machines, with an initramfs that has its virtio modules.
func cloudKernel(t *testing.T) (kernel, initrd vmm.Source) {
	t.Helper()
	names, err := filepath.Glob("/boot/vmlinuz-*-cloud-amd64")
	if err != nil || len(names) == 0 {
		t.Fatal("no cloud kernel in /boot: install the package linux-image-cloud-amd64 (make deps does)")
	}
	name := names[len(names)-1]
	release := strings.TrimPrefix(filepath.Base(name), "vmlinuz-")
	modules, err := initramfs.Modules(filepath.Join("/lib/modules", release), initramfs.VirtioModules)
	if err != nil {
		t.Fatal(err)
	}
	base, err := (&initramfs.Loader{Arch: builtin.GOARCH}).Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	both := make([]byte, base.Size(), base.Size()+int64(len(modules)))
	if _, err := base.ReadAt(both, 0); err != nil && err != io.EOF {
		t.Fatal(err)
	}
	initrd = bytes.NewReader(append(both, modules...)) // kernels take several archives, one after another
	return openFile(t, name), initrd
}

// TestBoot boots both kernels on several machines and lets every CPU work.
func TestBoot(t *testing.T) {
	needKVM(t)
	for _, kernel := range []string{"builtin", "cloud"} {
		for _, m := range []struct {
			cpus int
			mib  uint64
		}{{1, 128}, {2, 128}, {4, 128}, {1, 2048}, {4, 2048}, {2, 5120}} {
			t.Run(fmt.Sprintf("%s/%dcpu/%dMiB", kernel, m.cpus, m.mib), func(t *testing.T) {
				cfg := husktest.Config{CPUs: m.cpus, MemoryBytes: m.mib << 20}
				if kernel == "cloud" {
					cfg.Kernel, cfg.Initrd = cloudKernel(t)
				}
				vm := husktest.New(t, cfg)
				checkCPUs(t, vm, m.cpus)
				checkMemory(t, vm, m.mib<<20)
			})
		}
	}
}

// checkCPUs lets every CPU compute something, and compares.
func checkCPUs(t *testing.T, vm *husktest.VM, n int) {
	t.Helper()
	install(t, vm)
	lines := strings.Split(strings.TrimSpace(run(t, helper(vm, "cpus"))), "\n")
	if len(lines) != n {
		t.Fatalf("%d CPUs work, want %d:\n%s", len(lines), n, strings.Join(lines, "\n"))
	}
	for cpu, line := range lines {
		if want := fmt.Sprintf("%d %x", cpu, digest(uint64(cpu), 1<<20)); line != want {
			t.Errorf("cpu %d computed %q, want %q", cpu, line, want)
		}
	}
}

// checkMemory compares what the guest has with what it was given: the kernel and its tables take a part.
func checkMemory(t *testing.T, vm *husktest.VM, size uint64) {
	t.Helper()
	for line := range strings.Lines(run(t, vm.Command("cat", "/proc/meminfo"))) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "MemTotal:" {
			kib, err := strconv.ParseUint(f[1], 10, 64)
			if err != nil || kib<<10 > size || kib<<10 < size-size/8-32<<20 {
				t.Errorf("the guest has %s KiB of %d", f[1], size>>10)
			}
			return
		}
	}
	t.Error("no MemTotal in /proc/meminfo")
}

// TestBootsInARow boots many times: what fails once in fifty boots fails every week for somebody.
func TestBootsInARow(t *testing.T) {
	needKVM(t)
	const boots = 50
	for i := range boots {
		ok := t.Run(strconv.Itoa(i), func(t *testing.T) {
			vm := husktest.New(t, husktest.Config{CPUs: 1 + i%4, MemoryBytes: 128 << 20})
			if got := run(t, vm.Command("echo", "up")); got != "up\n" {
				t.Errorf("got %q", got)
			}
		})
		if !ok {
			t.FailNow()
		}
	}
}
