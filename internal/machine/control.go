package machine

import (
	"context"
	"sync"
	"sync/atomic"
)

// phase is where the machine is in its life. It only grows, except between running and paused.
type phase int32

const (
	phaseBuilt phase = iota
	phaseRunning
	phasePaused // vCPUs are to park, or are parked
	phaseEnding // vCPUs are to return
)

// control is what vCPU threads and callers agree through. vCPU threads read phase without a lock after every exit; the
// mutex is taken only on the way into and out of a pause.
type control struct {
	phase atomic.Int32

	mu     sync.Mutex
	cond   *sync.Cond
	parked int  // guarded by mu: vCPU threads waiting in park
	live   int  // guarded by mu: vCPU threads that have not returned
	exit   Exit // guarded by mu: set once, with phaseEnding
	done   chan struct{}
}

func newControl(cpus int) *control {
	c := &control{live: cpus, done: make(chan struct{})}
	c.cond = sync.NewCond(&c.mu)
	return c
}

func (c *control) at() phase { return phase(c.phase.Load()) }

// park holds a vCPU thread while the machine is paused. It returns false when the thread is to end.
func (c *control) park() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.parked++
	c.cond.Broadcast()
	for p := c.at(); p == phaseBuilt || p == phasePaused; p = c.at() {
		c.cond.Wait()
	}
	c.parked--
	return c.at() == phaseRunning
}

// set moves between running and paused; it reports whether the machine was at from.
func (c *control) set(from, to phase) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.phase.CompareAndSwap(int32(from), int32(to)) {
		return false
	}
	c.cond.Broadcast()
	return true
}

// allParked waits until every vCPU thread is in park; false if the machine ended meanwhile.
func (c *control) allParked() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.parked < c.live && c.at() == phasePaused {
		c.cond.Wait()
	}
	return c.at() == phasePaused
}

// end starts the end: the first call counts. The caller kicks the vCPUs afterwards.
func (c *control) end(e Exit) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.at() == phaseEnding {
		return false
	}
	c.exit = e
	c.phase.Store(int32(phaseEnding))
	c.cond.Broadcast()
	return true
}

// left notes that a vCPU thread returned; the last one's call returns true.
func (c *control) left() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.live--
	c.cond.Broadcast()
	return c.live == 0
}

// wait blocks until finished was called.
func (c *control) wait(ctx context.Context) (Exit, error) {
	select {
	case <-c.done:
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.exit, nil
	case <-ctx.Done():
		return Exit{}, ctx.Err()
	}
}
