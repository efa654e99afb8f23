//go:build !linux || !amd64

package kvm

import (
	"context"
	"errors"
	"fmt"
	"runtime"

	"github.com/husk-vm/husk/internal/guestmem"
	"github.com/husk-vm/husk/internal/hv"
)

// Backend stands in for KVM where it does not exist, or not for Husk: it says so.
type Backend struct{}

var _ hv.Backend = (*Backend)(nil)

// New returns the back end.
func New() *Backend { return &Backend{} }

// Name is "kvm".
func (*Backend) Name() string { return "kvm" }

// Probe says that there is no KVM here.
func (*Backend) Probe(context.Context) hv.Report {
	return hv.Report{Reason: fmt.Sprintf("no KVM back end for %s/%s", runtime.GOOS, runtime.GOARCH)}
}

// NewVM fails with errors.ErrUnsupported.
func (*Backend) NewVM(*guestmem.Memory, hv.Config) (hv.VM, error) {
	return nil, fmt.Errorf("kvm: new vm on %s/%s: %w", runtime.GOOS, runtime.GOARCH, errors.ErrUnsupported)
}
