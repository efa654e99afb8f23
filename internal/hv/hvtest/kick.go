package hvtest

import (
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/husk-vm/husk/internal/hv"
)

func testKickBeforeRun(t *testing.T, b hv.Backend) {
	g := newGuest(t, b, 1, storm)
	v := g.vcpu(0)
	g.enter(v, longMode, codeAt)
	for range 3 {
		v.Kick()
	}
	g.want(v, hv.ExitKicked)
	// Kicks before Run returns may count as one, but there were no more than three.
	var exit hv.Exit
	for range 3 {
		if g.run(v, &exit); exit.Kind == hv.ExitPort {
			return
		}
	}
	t.Errorf("still %v after three kicks", exit.Kind)
}

// kickEach kicks a guest that never exits by itself, waiting for each kick to arrive.
func kickEach(t *testing.T, b hv.Backend, program []byte, kicks int) {
	g := newGuest(t, b, 1, program)
	v := g.vcpu(0)
	g.enter(v, longMode, codeAt)
	arrived := make(chan struct{})
	var kicker sync.WaitGroup
	kicker.Go(func() {
		for range kicks {
			v.Kick()
			<-arrived
		}
	})
	for n := 0; n < kicks; {
		var exit hv.Exit
		switch g.run(v, &exit); exit.Kind {
		case hv.ExitKicked:
			n++
			arrived <- struct{}{}
		case hv.ExitHalt:
			// No local APIC to sleep at: the machine would wait for the kick itself.
			runtime.Gosched()
		default:
			t.Fatalf("exit %v", exit.Kind)
		}
	}
	kicker.Wait()
}

func testKickHalted(t *testing.T, b hv.Backend)   { kickEach(t, b, haltForever, 500) }
func testKickSpinning(t *testing.T, b hv.Backend) { kickEach(t, b, spin, 100) }

// testKickAndSettle: a kick that comes before Settle, or into it, is still there for Run, and Settle finishes its access.
func testKickAndSettle(t *testing.T, b hv.Backend) {
	g := newGuest(t, b, 1, storm)
	v := g.vcpu(0)
	g.enter(v, longMode, codeAt)
	for i := range uint64(200) {
		if got := g.wantOut(v, portStorm, 4); got != i+1 {
			t.Fatalf("count %d, want %d", got, i+1)
		}
		var kicker sync.WaitGroup
		kicker.Go(v.Kick)
		if i%2 == 0 {
			kicker.Wait()
		}
		if r := g.regs(v); r.RIP != codeAt+6 || r.RAX != i+1 {
			t.Fatalf("settled at %#x with %d", r.RIP, r.RAX)
		}
		kicker.Wait()
		g.want(v, hv.ExitKicked)
	}
}

func testKickAfterClose(t *testing.T, b hv.Backend) {
	g := newGuest(t, b, 1, spin)
	v, err := g.vm.NewVCPU(0)
	g.check(err)
	var kickers sync.WaitGroup
	for range 4 {
		kickers.Go(func() {
			for range 20 {
				v.Kick()
			}
		})
	}
	g.check(v.Close())
	kickers.Wait()
	v.Kick()
}

// kickers hammers v from several goroutines until each has seen rounds kicks arrive. arrived is called for every
// ExitKicked; stop reports that all are done.
type kickers struct {
	mu   sync.Mutex
	came *sync.Cond
	n    int // guarded by mu: kicks that arrived
	left int // guarded by mu: goroutines not done
	wg   sync.WaitGroup
}

func startKickers(v hv.VCPU, goroutines, rounds int) *kickers {
	k := &kickers{left: goroutines}
	k.came = sync.NewCond(&k.mu)
	for range goroutines {
		k.wg.Go(func() {
			for range rounds {
				k.mu.Lock()
				before := k.n
				k.mu.Unlock()
				v.Kick()
				k.mu.Lock()
				for k.n == before {
					k.came.Wait()
				}
				k.mu.Unlock()
			}
			k.mu.Lock()
			k.left--
			k.mu.Unlock()
		})
	}
	return k
}

// arrived notes an ExitKicked and reports whether all goroutines are done.
func (k *kickers) arrived() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.n++
	k.came.Broadcast()
	return k.left == 0
}

func (k *kickers) done() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.left == 0
}

// testKickUnderPortStorm: kicks come while the guest exits all the time. None of its writes is lost or seen twice.
func testKickUnderPortStorm(t *testing.T, b hv.Backend) {
	g := newGuest(t, b, 1, storm)
	v := g.vcpu(0)
	g.enter(v, longMode, codeAt)
	k := startKickers(v, 4, 100)
	defer k.wg.Wait()
	deadline := time.Now().Add(patience)
	var exit hv.Exit
	for count := uint64(0); !k.done(); {
		if g.run(v, &exit); exit.Kind == hv.ExitKicked {
			k.arrived()
			continue
		}
		if count++; exit.Kind != hv.ExitPort || exit.Addr != portStorm || number(exit.Data) != count {
			t.Fatalf("%v, port %#x, data % x; want count %d", exit.Kind, exit.Addr, exit.Data, count)
		}
		if count%1000 == 0 && time.Now().After(deadline) {
			t.Fatalf("kicks were lost: %d arrived", k.n)
		}
	}
}

// testKickUnderMMIOStorm does the same with loads whose value the guest stores: what we answered must come back.
func testKickUnderMMIOStorm(t *testing.T, b hv.Backend) {
	g := newGuest(t, b, 1, mmioStorm)
	v := g.vcpu(0)
	g.enter(v, longMode, codeAt)
	k := startKickers(v, 4, 100)
	defer k.wg.Wait()
	deadline := time.Now().Add(patience)
	var exit hv.Exit
	answer, load := uint64(0), true
	for !k.done() {
		if g.run(v, &exit); exit.Kind == hv.ExitKicked {
			k.arrived()
			continue
		}
		if exit.Kind != hv.ExitMMIO || exit.Write == load || len(exit.Data) != 8 {
			t.Fatalf("%v, write %v, %d bytes; load expected: %v", exit.Kind, exit.Write, len(exit.Data), load)
		}
		if load {
			answer += 0x0101_0101_0101
			putNumber(exit.Data, answer)
		} else if got := number(exit.Data); got != answer {
			t.Fatalf("guest stored %#x, it was given %#x", got, answer)
		}
		load = !load
		if answer%1024 == 0 && time.Now().After(deadline) {
			t.Fatalf("kicks were lost: %d arrived", k.n)
		}
	}
}
