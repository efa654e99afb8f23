package machine

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// threads stand for vCPU threads: they work while the machine runs and park when it does not.
func threads(c *control, n int, working *atomic.Int32) *sync.WaitGroup {
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			defer func() {
				if c.left() {
					close(c.done)
				}
			}()
			if !c.park() {
				return
			}
			for {
				if c.at() != phaseRunning && !c.park() {
					return
				}
				working.Add(1)
				working.Add(-1)
			}
		})
	}
	return &wg
}

func TestControlPausesAll(t *testing.T) {
	const n = 4
	c := newControl(n)
	var working atomic.Int32
	wg := threads(c, n, &working)
	if !c.set(phaseBuilt, phaseRunning) {
		t.Fatal("not started")
	}
	for round := range 200 {
		if !c.set(phaseRunning, phasePaused) || !c.allParked() {
			t.Fatalf("round %d: not paused", round)
		}
		if w := working.Load(); w != 0 {
			t.Fatalf("round %d: %d threads work", round, w)
		}
		if c.set(phaseRunning, phasePaused) {
			t.Fatal("paused twice")
		}
		if !c.set(phasePaused, phaseRunning) {
			t.Fatalf("round %d: not resumed", round)
		}
	}
	if !c.end(Exit{Reason: PowerOff}) || c.end(Exit{Reason: Stopped}) {
		t.Error("the first end does not count")
	}
	wg.Wait()
	if e, err := c.wait(t.Context()); err != nil || e.Reason != PowerOff {
		t.Errorf("ended with %v, %v", e, err)
	}
}

// TestControlEndsAnywhere ends machines that were not started, run, or are being paused: no thread stays.
func TestControlEndsAnywhere(t *testing.T) {
	for i := range 100 {
		c := newControl(3)
		var working atomic.Int32
		wg := threads(c, 3, &working)
		if i%4 > 0 {
			c.set(phaseBuilt, phaseRunning)
		}
		var others sync.WaitGroup
		if i%4 > 1 {
			others.Go(func() {
				if c.set(phaseRunning, phasePaused) && c.allParked() && i%4 == 3 {
					c.set(phasePaused, phaseRunning)
				}
			})
		}
		others.Go(func() { c.end(Exit{Reason: Stopped}) })
		others.Wait()
		wg.Wait()
		if c.set(phaseRunning, phasePaused) || c.set(phasePaused, phaseRunning) || c.set(phaseBuilt, phaseRunning) {
			t.Fatal("an ended machine moves")
		}
	}
}

func TestControlWaitHeedsContext(t *testing.T) {
	c := newControl(1)
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := c.wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}
