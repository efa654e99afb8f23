package kvm_test

import (
	"testing"

	"github.com/husk-vm/husk/internal/hv"
	"github.com/husk-vm/husk/internal/hv/hvtest"
	"github.com/husk-vm/husk/internal/hv/kvm"
)

func BenchmarkBorder(b *testing.B) {
	k := kvm.New()
	if r := k.Probe(b.Context()); r.KernelRate == 0 {
		b.Skipf("%s; %s", r.Reason, r.Advice)
	}
	hvtest.Benchmark(b, func(*testing.B) hv.Backend { return k })
}

// TestConformance needs /dev/kvm. One that emulates kernel-mode code is good enough for guests of a few instructions.
func TestConformance(t *testing.T) {
	b := kvm.New()
	r := b.Probe(t.Context())
	if !r.Usable && r.KernelRate == 0 {
		t.Skipf("%s; %s", r.Reason, r.Advice)
	}
	hvtest.Run(t, func(*testing.T) hv.Backend { return b }, hvtest.Options{Slow: !r.Usable})
}
