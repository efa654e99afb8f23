package vmm

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/husk-vm/husk/internal/hv"
)

// ErrNoBackend is wrapped by New's error where no hypervisor is usable.
var ErrNoBackend = errors.New("no usable hypervisor")

// Backend is what is known about one way to run guests on this host.
type Backend struct {
	Name   string
	Usable bool
	// Reason says why it is not usable, or how well it works; Advice what to do. One line each, for a person.
	Reason, Advice string
	// KernelRate and UserRate are measured: simple guest instructions a second in kernel and user mode. 0 if unknown.
	KernelRate, UserRate float64
	// Setup is how long it took to make a VM with one vCPU.
	Setup time.Duration
	// Details are facts such as versions, in a fixed order.
	Details []string
}

// Backends measures every back end that exists for this host, best first. It changes nothing. It takes a fraction of
// a second where a hypervisor is slow, a few milliseconds otherwise.
func Backends(ctx context.Context) []Backend {
	var out []Backend
	for _, b := range backends() {
		r := b.Probe(ctx)
		out = append(out, Backend{
			Name: b.Name(), Usable: r.Usable, Reason: r.Reason, Advice: r.Advice,
			KernelRate: r.KernelRate, UserRate: r.UserRate, Setup: r.Setup, Details: r.Details,
		})
	}
	return out
}

// choose returns the back end to use. One that was asked for by name is taken unless it does not work at all: slow is
// then the caller's choice.
func choose(ctx context.Context, name string) (hv.Backend, error) {
	var refusals []string
	for _, b := range backends() {
		if name != "" && b.Name() != name {
			continue
		}
		r := b.Probe(ctx)
		if r.Usable || name != "" && r.KernelRate > 0 {
			return b, nil
		}
		why := b.Name() + ": " + r.Reason
		if r.Advice != "" {
			why += " (" + r.Advice + ")"
		}
		refusals = append(refusals, why)
	}
	if len(refusals) == 0 {
		var names []string
		for _, b := range backends() {
			names = append(names, b.Name())
		}
		if name == "" || len(names) == 0 {
			return nil, fmt.Errorf("vmm: %w: none exists for this operating system yet", ErrNoBackend)
		}
		return nil, configError{fmt.Errorf("vmm: unknown back end %q: there is %s", name, strings.Join(names, ", "))}
	}
	return nil, fmt.Errorf("vmm: %w: %s", ErrNoBackend, strings.Join(refusals, "; "))
}
