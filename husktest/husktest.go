package husktest

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/husk-vm/husk/guest/client"
	"github.com/husk-vm/husk/internal/guestvm"
	"github.com/husk-vm/husk/vmm"
)

// Config describes a test's VM. The zero value is the built-in guest on one CPU with vmm.DefaultMemoryBytes.
type Config struct {
	CPUs        int
	MemoryBytes uint64
	// Disks become /dev/vda, /dev/vdb, ... They are not closed.
	Disks []vmm.Disk
	// Kernel, Initrd and Cmdline replace the built-in ones. An initrd must start husk-agent.
	Kernel, Initrd vmm.Source
	Cmdline        string
	// Reboot lets the guest reboot; call VM.Ready afterwards. Otherwise a reboot ends the VM.
	Reboot vmm.Reboot
	// Backend names a hypervisor; "" takes the best one. The environment variable HUSK_BACKEND does the same for tests
	// that leave it open.
	Backend string
	// ReadyTimeout bounds the boot. 0 means two minutes.
	ReadyTimeout time.Duration
}

// Cmd is a command in the guest, shaped like exec.Cmd.
type Cmd = client.Cmd

// ExitError is what Cmd's methods return for a command that did not succeed, as exec.ExitError.
type ExitError = client.ExitError

// VM is a running guest.
type VM struct {
	*vmm.VM
	guest *guestvm.Guest
	t     testing.TB
	limit time.Duration
}

// New boots a VM and waits until it answers. It fails the test where that is not possible; the message says why and
// what to do. Call it on the test's own goroutine.
func New(t testing.TB, cfg Config) *VM {
	t.Helper()
	if cfg.Backend == "" {
		cfg.Backend = os.Getenv("HUSK_BACKEND")
	}
	if cfg.ReadyTimeout == 0 {
		cfg.ReadyTimeout = guestvm.DefaultReadyTimeout
	}
	g, err := guestvm.New(t.Context(), guestvm.Config{
		VM: vmm.Config{
			Name: t.Name(), CPUs: cfg.CPUs, MemoryBytes: cfg.MemoryBytes, Disks: cfg.Disks,
			Backend: cfg.Backend, Reboot: cfg.Reboot,
		},
		Kernel: cfg.Kernel, Initrd: cfg.Initrd, Cmdline: cfg.Cmdline,
		Progress: func(string) {},
	})
	if err != nil {
		t.Fatalf("husktest: %v", err)
	}
	vm := &VM{VM: g.VM, guest: g, t: t, limit: cfg.ReadyTimeout}
	t.Cleanup(vm.cleanup)
	if err := g.Start(t.Context()); err != nil {
		t.Fatalf("husktest: %v", err)
	}
	vm.Ready()
	return vm
}

// cleanup ends the VM, and shows its console if the test failed.
func (vm *VM) cleanup() {
	vm.guest.Close()
	if vm.t.Failed() {
		vm.t.Logf("the guest's console:\n%s", strings.Join(vm.guest.Console(), "\n"))
	}
}

// Ready waits until the guest answers: New has done so, a reboot calls for it again.
func (vm *VM) Ready() {
	vm.t.Helper()
	if err := vm.guest.Ready(vm.t.Context(), vm.limit); err != nil {
		vm.t.Fatalf("husktest: %v", err)
	}
}

// Command returns a command in the guest. It is killed when the test ends.
func (vm *VM) Command(name string, args ...string) *Cmd {
	return vm.guest.Agent.CommandContext(vm.t.Context(), name, args...)
}

// CommandContext is Command with a context of the caller's.
func (vm *VM) CommandContext(ctx context.Context, name string, args ...string) *Cmd {
	return vm.guest.Agent.CommandContext(ctx, name, args...)
}

// Put copies a file of the host into the guest, with the permissions it has.
func (vm *VM) Put(hostPath, guestPath string) error {
	f, err := os.Open(hostPath)
	if err != nil {
		return err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	return vm.guest.Agent.Put(vm.t.Context(), guestPath, st.Mode().Perm(), f)
}

// PutTree copies a directory of the host into the guest.
func (vm *VM) PutTree(hostPath, guestPath string) error {
	return vm.guest.Agent.PutTree(vm.t.Context(), hostPath, guestPath)
}

// Get copies a file of the guest to the host.
func (vm *VM) Get(guestPath, hostPath string) (err error) {
	f, err := os.Create(hostPath)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return vm.guest.Agent.Get(vm.t.Context(), guestPath, f)
}

// Shutdown asks the guest to power off, and waits for it.
func (vm *VM) Shutdown() (vmm.Exit, error) {
	if err := vm.guest.Agent.Shutdown(vm.t.Context(), shutdownGrace); err != nil {
		return vmm.Exit{}, err
	}
	return vm.Wait(vm.t.Context())
}

// shutdownGrace is what commands that still run get to end by themselves.
const shutdownGrace = 5 * time.Second

// Console returns the end of what the guest wrote to its console.
func (vm *VM) Console() string { return strings.Join(vm.guest.Console(), "\n") }
