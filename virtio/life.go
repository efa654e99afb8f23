package virtio

import (
	"context"
	"fmt"
)

// start brings the device to life: the driver set DRIVER_OK, and life is lifeStarting: nobody else calls the device. A
// driver that set up its queues wrongly gets DEVICE_NEEDS_RESET, and the device never hears of it.
func (c *Core) start() {
	c.mu.Lock()
	a, err := c.activate()
	c.mu.Unlock()
	if err == nil {
		err = c.dev.Start(a)
	}
	if err != nil {
		c.fail(err)
	}
	c.mu.Lock()
	c.life = lifeRunning // also after an error: a reset then calls Stop, which does nothing
	asked := c.reset != nil
	if asked { // while we started
		c.life = lifeStopping
		c.wg.Go(c.stop)
	}
	c.mu.Unlock()
}

// activate makes the live queues. mu is held.
func (c *Core) activate() (Activation, error) {
	a := Activation{
		Features:      c.driver,
		Queues:        make([]*Queue, len(c.queues)),
		ConfigChanged: c.configChanged,
		Fail:          c.fail,
	}
	for i, cfg := range c.queues {
		if !cfg.Enabled {
			continue
		}
		q, err := newQueue(queueSetup{
			mem: c.host.Memory, cfg: cfg, max: c.sizes[i], features: c.driver, bell: c.bells[i],
			raise: func() { c.intr.QueueUsed(i) },
		})
		if err != nil {
			return a, fmt.Errorf("queue %d: %w", i, err)
		}
		q.pausing.Store(c.paused)
		a.Queues[i] = q
	}
	c.live = a.Queues
	return a, nil
}

// configChanged is Activation.ConfigChanged.
func (c *Core) configChanged() {
	c.gen.Add(1)
	c.intr.ConfigChanged()
}

// fail is Activation.Fail. DEVICE_NEEDS_RESET is announced as a configuration change [VIRTIO §2.1.2].
func (c *Core) fail(err error) {
	c.mu.Lock()
	first := c.failure == nil && c.status != 0
	if first {
		c.failure = err
		c.fails++
		c.status |= StatusNeedsReset
	}
	driverOK, fails := c.status.Has(StatusDriverOK), c.fails
	c.mu.Unlock()
	if !first {
		return
	}
	if fails&(fails-1) == 0 {
		c.host.Log.Warn("virtio: device needs a reset", "type", c.dev.Type(), "times", fails, "err", err)
	}
	if driverOK {
		c.intr.ConfigChanged()
	}
}

// startReset begins to stop the device, unless that is under way, and returns what is closed when status is 0 again;
// nil if it is already. Stopping may take as long as the request under way.
func (c *Core) startReset() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reset != nil {
		return c.reset
	}
	if c.life == lifeStopped {
		c.clear()
		return nil
	}
	c.reset = make(chan struct{})
	if c.life == lifeRunning { // else the goroutine that starts it goes on to stop it
		c.life = lifeStopping
		c.wg.Go(c.stop)
	}
	return c.reset
}

// stop ends the device's work and completes the reset. life is lifeStopping: nobody else calls the device.
func (c *Core) stop() {
	c.mu.Lock()
	live := c.live
	c.mu.Unlock()
	for _, q := range live {
		if q != nil {
			q.close()
			q.resume()
		}
	}
	c.dev.Stop()
	c.mu.Lock()
	c.clear()
	c.life = lifeStopped
	close(c.reset)
	c.reset = nil
	c.mu.Unlock()
}

// Reset brings the device to its power-on state and waits until nothing of it touches guest memory any more, or until
// ctx ends; the reset then goes on.
func (c *Core) Reset(ctx context.Context) error {
	done := c.startReset()
	if done == nil {
		return nil
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("virtio: reset: %w", context.Cause(ctx))
	}
}

// Pause waits until no worker of the device touches guest memory and keeps it so until Resume. The guest's CPUs stand
// still. If ctx ends first, the device runs on and the error says which queue was busy.
func (c *Core) Pause(ctx context.Context) error {
	c.pauses.Lock()
	defer c.pauses.Unlock()
	c.mu.Lock()
	c.paused = true
	live := c.live
	c.mu.Unlock()
	for i, q := range live {
		if q == nil {
			continue
		}
		if err := q.pause(ctx); err != nil {
			c.Resume()
			return fmt.Errorf("queue %d: %w", i, err)
		}
	}
	return nil
}

// Resume ends a Pause. Without one it does nothing.
func (c *Core) Resume() {
	c.mu.Lock()
	c.paused = false
	live := c.live
	c.mu.Unlock()
	for _, q := range live {
		if q != nil {
			q.resume()
		}
	}
}

// Close stops the device for good, waits for it and frees the doorbells.
func (c *Core) Close() error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	_ = c.Reset(context.Background()) // cannot end early
	c.wg.Wait()
	return c.closeBells()
}
