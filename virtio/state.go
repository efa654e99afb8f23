package virtio

import "errors"

// QueueState is what must be kept to continue a queue elsewhere, besides guest memory.
type QueueState struct {
	Config QueueConfig
	Next   uint16 // available entry to take next
	Used   uint16 // used index as published
	// Held chains were taken and not yet given back: their device must be able to say which. 0 for a device that ends
	// its requests before it waits.
	Held uint16
}

// CoreState is what must be kept of a device's negotiation and queues, besides the device's own state.
type CoreState struct {
	Status     Status
	Driver     Features // what the driver accepted
	Generation uint8    // of the configuration space
	Queues     []QueueState
}

// State returns the state of a paused device. A reset under way is an error: wait for it first, with Reset.
func (c *Core) State() (CoreState, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case !c.paused:
		return CoreState{}, errors.New("virtio: state: device is not paused")
	case c.reset != nil:
		return CoreState{}, errors.New("virtio: state: reset under way")
	}
	s := CoreState{Status: c.status, Driver: c.driver, Generation: c.ConfigGeneration()}
	for i, cfg := range c.queues {
		qs := QueueState{Config: cfg}
		if i < len(c.live) && c.live[i] != nil {
			q := c.live[i] // at rest: its worker published these before it said so
			qs.Next, qs.Used, qs.Held = q.next, q.told, q.held
		}
		s.Queues = append(s.Queues, qs)
	}
	return s, nil
}
