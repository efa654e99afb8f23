package hvtest

import (
	"runtime"
	"sync"
	"testing"

	"github.com/husk-vm/husk/internal/hv"
)

// Benchmark measures what crossing the border costs: one exit and entry for a port and for MMIO, a kick of a sleeping
// vCPU until Run returned, an interrupt until its handler shows itself, a VM from nothing to its first exit.
func Benchmark(b *testing.B, open func(b *testing.B) hv.Backend) {
	b.Run("port exit", func(b *testing.B) {
		g := newGuest(b, open(b), 1, storm)
		v := g.vcpu(0)
		g.enter(v, longMode, codeAt)
		runExits(b, v, hv.ExitPort)
	})
	b.Run("mmio exit", func(b *testing.B) {
		g := newGuest(b, open(b), 1, mmioStorm)
		v := g.vcpu(0)
		g.enter(v, longMode, codeAt)
		runExits(b, v, hv.ExitMMIO)
	})
	b.Run("kick halted", func(b *testing.B) { benchmarkKick(b, open(b)) })
	b.Run("msi to handler", func(b *testing.B) {
		g := newGuest(b, open(b), 1, lapicOn)
		l, ok := g.vm.(hv.X86LAPICs)
		if !ok {
			b.Skip("local APICs are not the back end's")
		}
		v := g.vcpu(0)
		g.enter(v, longMode, codeAt)
		g.wantOut(v, portShow, 1)
		for b.Loop() {
			if err := l.SignalMSI(msiAddr, 0x41); err != nil {
				b.Fatal(err)
			}
			g.wantOut(v, portIRQ, 1)
		}
	})
	b.Run("vm", func(b *testing.B) {
		backend := open(b)
		for b.Loop() {
			benchmarkVM(b, backend)
		}
	})
}

// runExits runs from exit to exit, without what tests put around it.
func runExits(b *testing.B, v hv.VCPU, kind hv.ExitKind) {
	b.ReportAllocs()
	var exit hv.Exit
	for b.Loop() {
		if err := v.Run(&exit); err != nil || exit.Kind != kind {
			b.Fatalf("%v, %v", exit.Kind, err)
		}
	}
}

// benchmarkKick kicks from the goroutine that is measured; the vCPU's thread says by a channel that it came out, which
// costs some microseconds of its own.
func benchmarkKick(b *testing.B, backend hv.Backend) {
	g := newGuest(b, backend, 1, haltForever)
	kicked := make(chan struct{})
	ready := make(chan hv.VCPU)
	stop := make(chan struct{})
	var runner sync.WaitGroup
	runner.Go(func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		v, err := g.newVCPU(0)
		if !g.check(err) {
			close(ready)
			return
		}
		defer func() { g.check(v.Close()) }()
		g.check(setMode(v, longMode, codeAt))
		ready <- v
		var exit hv.Exit
		for {
			if err := v.Run(&exit); err != nil {
				b.Error(err)
				return
			}
			select {
			case kicked <- struct{}{}:
			case <-stop:
				return
			}
		}
	})
	defer runner.Wait()
	v, ok := <-ready
	if !ok {
		return
	}
	for b.Loop() {
		v.Kick()
		<-kicked
	}
	close(stop)
	v.Kick()
}

// benchmarkVM makes a VM, runs it to its first exit and closes it.
func benchmarkVM(b *testing.B, backend hv.Backend) {
	g := newGuest(b, backend, 1, countUp)
	v, err := g.newVCPU(0)
	if err != nil {
		b.Fatal(err)
	}
	g.enter(v, longMode, codeAt)
	g.wantOut(v, portShow, 1)
	if err := v.Close(); err != nil {
		b.Fatal(err)
	}
	if err := g.vm.Close(); err != nil {
		b.Fatal(err)
	}
	if err := g.mem.Close(); err != nil {
		b.Fatal(err)
	}
}
