//go:build linux && amd64

package kvm

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"github.com/husk-vm/husk/internal/guestmem"
	"github.com/husk-vm/husk/internal/hv"
)

const (
	// minKernelRate is what kernel-mode code must reach, in instructions a second, to be beyond doubt. Hardware does
	// thousands of millions, KVM inside an emulated machine some hundreds, and a /dev/kvm that emulates kernel-mode code
	// below two.
	minKernelRate = 100e6

	// On a host that is very busy everything looks slow. Below minKernelRate, kernel mode counts as emulated when it is
	// slower than user mode by maxPenalty, which no load explains, or slower than slowKernelRate in any case.
	maxPenalty     = 50
	slowKernelRate = 10e6

	// probeBudget is how long each of the two loops may be measured. Only a slow /dev/kvm needs it.
	probeBudget = 20 * time.Millisecond

	// fewestTries are made even beyond the budget: one hiccup of the host must not condemn it.
	fewestTries = 3

	// A run shorter than probeLong measures the exit more than the loop.
	probeLong = 150 * time.Microsecond

	firstTurns = 5_000      // of the loop: at 1.5 million instructions a second this takes 7 ms
	mostTurns  = 10_000_000 // some milliseconds on hardware
)

// Probe measures whether and how fast KVM works here: it makes a VM of 64 KiB and runs a loop in kernel mode and in user
// mode. On hardware that takes a few milliseconds, on a /dev/kvm that is too slow about 30. It changes nothing and leaves nothing behind.
func (b *Backend) Probe(ctx context.Context) hv.Report {
	var r hv.Report
	if err := b.probe(ctx, &r); err != nil {
		r.Usable = false
		r.Reason, r.Advice = b.explain(err)
		return r
	}
	if emulated(r.KernelRate, r.UserRate) {
		r.Reason = fmt.Sprintf("this %s emulates kernel code: %.1f million instructions a second, %.0f in user mode",
			b.path, r.KernelRate/1e6, r.UserRate/1e6)
		r.Advice = "run on a host whose KVM uses hardware virtualization"
		return r
	}
	r.Usable = true
	return r
}

// emulated judges rates, in instructions a second.
func emulated(kernel, user float64) bool {
	return kernel < slowKernelRate || kernel < minKernelRate && kernel*maxPenalty < user
}

func (b *Backend) probe(ctx context.Context, r *hv.Report) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := b.facts(r); err != nil {
		return err
	}
	mem, err := guestmem.New([]guestmem.Region{{Size: probeRAM}})
	if err != nil {
		return err
	}
	defer mem.Close()
	ram, err := mem.Range(0, probeRAM)
	if err != nil {
		return err
	}
	if err := writeProbe(ram); err != nil {
		return err
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	start := time.Now()
	vm, err := b.NewVM(mem, hv.Config{CPUs: 1})
	if err != nil {
		return err
	}
	defer vm.Close()
	v, err := vm.NewVCPU(0)
	if err != nil {
		return err
	}
	defer v.Close()
	r.Setup = time.Since(start)
	stop := context.AfterFunc(ctx, v.Kick)
	defer stop()
	if r.KernelRate, err = measure(v.(*VCPU), kernelMode); err == nil {
		r.UserRate, err = measure(v.(*VCPU), userMode)
	}
	if ctx.Err() != nil { // then err says that something kicked
		return ctx.Err()
	}
	return err
}

// facts fills in Details.
func (b *Backend) facts(r *hv.Report) error {
	sys, err := b.open()
	if err != nil {
		return err
	}
	defer sys.Close()
	if err := checkNeeds(sys, commonNeeds, archNeeds); err != nil {
		return err
	}
	limit, err := maxVCPUs(sys)
	if err != nil {
		return err
	}
	wide, err := check(sys, capIOEventFDAnyLength)
	if err != nil {
		return err
	}
	r.Details = []string{
		fmt.Sprintf("api version %d", apiVersion),
		fmt.Sprintf("at most %d vcpus", limit),
		fmt.Sprintf("doorbells of any width at once: %t", wide > 0),
	}
	return nil
}

// measure returns the best rate of the loop, in instructions a second. Whatever else this host does can only make a run
// look slow, so one good run is proof, and a bad one is tried again while the budget lasts.
func measure(v *VCPU, m mode) (float64, error) {
	if _, err := runLoop(v, m, 1); err != nil { // the pages come in, the hypervisor's caches fill
		return 0, err
	}
	var best float64
	turns := uint64(firstTurns)
	for began, tries := time.Now(), 1; ; tries++ {
		took, err := runLoop(v, m, turns)
		if err != nil {
			return 0, err
		}
		best = max(best, float64(turns*loopInsns)/took.Seconds())
		if took >= probeLong && best >= 2*minKernelRate {
			return best, nil
		}
		next := took
		if took < probeLong && turns < mostTurns {
			turns *= 10
			next *= 10
		}
		if tries >= fewestTries && time.Since(began)+next > probeBudget {
			return best, nil
		}
	}
}

// runLoop runs the loop once and returns how long it took.
func runLoop(v *VCPU, m mode, turns uint64) (time.Duration, error) {
	regs := probeRegs(m, turns)
	if err := v.SetRegs(&regs); err != nil {
		return 0, err
	}
	var exit hv.Exit
	start := time.Now()
	err := v.Run(&exit)
	took := max(time.Since(start), 1)
	switch {
	case err != nil:
		return 0, err
	case exit.Kind == hv.ExitFailed:
		return 0, fmt.Errorf("kvm: probe in %s: %w", m, exit.Err)
	case exit.Kind != hv.ExitPort || exit.Addr != probePort:
		return 0, fmt.Errorf("kvm: probe in %s: unexpected exit: %v", m, exit.Kind)
	}
	if err := v.Settle(); err != nil { // the OUT is behind us before registers are set anew
		return 0, err
	}
	return took, nil
}
