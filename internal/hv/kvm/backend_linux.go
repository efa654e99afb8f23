//go:build linux && amd64

package kvm

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/husk-vm/husk/internal/guestmem"
	"github.com/husk-vm/husk/internal/hostos"
	"github.com/husk-vm/husk/internal/hv"
)

// Backend makes VMs with /dev/kvm. The zero value is not usable; it has no state besides a path and may be shared.
type Backend struct {
	path    string // of the device
	cpuinfo string // the kernel's description of the CPU, for advice
}

var (
	_ hv.Backend    = (*Backend)(nil)
	_ hv.X86Backend = (*Backend)(nil)
)

// New returns the back end. It touches nothing: see Probe.
func New() *Backend { return &Backend{path: "/dev/kvm", cpuinfo: "/proc/cpuinfo"} }

// Name is "kvm".
func (*Backend) Name() string { return "kvm" }

// open opens the device and makes sure that it speaks the one API there is.
func (b *Backend) open() (*hostos.FD, error) {
	sys, err := hostos.OpenFD(b.path, unix.O_RDWR)
	if err != nil {
		return nil, fmt.Errorf("kvm: %w", err)
	}
	v, err := call(sys, getAPIVersion, 0)
	if err == nil && v != apiVersion {
		err = fmt.Errorf("version %d, want %d: %w", v, apiVersion, errors.ErrUnsupported)
	}
	if err != nil {
		_ = sys.Close()
		return nil, fmt.Errorf("kvm: api version of %s: %w", b.path, err)
	}
	return sys, nil
}

// NewVM makes an empty VM around mem, which must outlive it. All of mem's regions are mapped.
func (b *Backend) NewVM(mem *guestmem.Memory, cfg hv.Config) (hv.VM, error) {
	sys, err := b.open()
	if err != nil {
		return nil, err
	}
	defer sys.Close() // a VM holds what it needs
	if err := checkNeeds(sys, commonNeeds, archNeeds); err != nil {
		return nil, err
	}
	limit, err := maxVCPUs(sys)
	if err != nil {
		return nil, err
	}
	if cfg.CPUs < 1 || cfg.CPUs > limit {
		return nil, fmt.Errorf("kvm: new vm: %d vcpus: this kernel allows 1 to %d", cfg.CPUs, limit)
	}
	return newVM(sys, mem, cfg)
}
