package hvtest

import (
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/husk-vm/husk/internal/hv"
)

func testClock(t *testing.T, b hv.Backend) {
	g := newGuest(t, b, 1, countUp)
	clock, ok := g.vm.(hv.X86Clock)
	if !ok {
		t.Skip("no paravirtual clock")
	}
	v := g.vcpu(0)
	g.enter(v, longMode, codeAt)
	for i := range uint64(3) {
		if got := g.wantOut(v, portShow, 1); got != i {
			t.Fatalf("count %d, want %d", got, i)
		}
		for range 2 { // twice is once
			g.check(clock.PauseClock())
		}
		for range 2 {
			g.check(clock.ResumeClock())
		}
	}
}

// testStartAndStop makes and closes VMs, every other one in the middle of its guest's life, and looks for what is left.
func testStartAndStop(t *testing.T, b hv.Backend) {
	cycles := 200
	if testing.Short() {
		cycles = 20
	}
	cycle := func(i int) {
		ok := t.Run("cycle", func(t *testing.T) {
			g := newGuest(t, b, 2, countUp)
			v := g.vcpu(0)
			if i%2 == 0 {
				return
			}
			g.vcpu(1)
			g.enter(v, longMode, codeAt)
			g.wantOut(v, portShow, 1)
			if events, ok := g.vm.(hv.Events); ok {
				if e, err := events.NewEvent(); err == nil {
					_, _ = events.Attach(e, mmioBase) // the VM lets go of it
					g.check(e.Close())
				}
			}
			v.Kick()
			g.want(v, hv.ExitKicked)
		})
		if !ok {
			t.FailNow()
		}
	}
	cycle(1) // whatever is made once for the process is made now
	fds, goroutines := descriptors(), runtime.NumGoroutine()
	for i := range cycles {
		cycle(i)
	}
	if n := descriptors(); n != fds {
		t.Errorf("%d descriptors are open, before it were %d", n, fds)
	}
	for deadline := time.Now().Add(patience); runtime.NumGoroutine() > goroutines; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Errorf("%d goroutines, before it were %d", runtime.NumGoroutine(), goroutines)
			break
		}
	}
}

// descriptors counts this process's open descriptors, where the host tells.
func descriptors() int {
	for _, dir := range []string{"/proc/self/fd", "/dev/fd"} {
		if list, err := os.ReadDir(dir); err == nil {
			return len(list)
		}
	}
	return 0
}
