package vsock

import "sync"

// maxResets bounds the resets owed to connections that do not exist. A guest gets that many by sending to closed ports
// without taking the answers; what is more is dropped, and the guest's connect runs into its timeout.
const maxResets = 256

// reset is an RST owed to a connection that does not exist.
type reset struct {
	key connKey
	typ sockType
}

// schedule is the list of what the worker of the receive queue has to do. Its lock is a leaf: nothing else is locked or
// called while it is held.
type schedule struct {
	mu      sync.Mutex
	cond    sync.Cond        // L is &mu
	stopped bool             // guarded by mu; the worker shall end
	head    *Conn            // guarded by mu; first of the connections with something to send, linked by Conn.next
	tail    *Conn            // guarded by mu
	resets  [maxResets]reset // guarded by mu; a ring
	first   int              // guarded by mu; index of the oldest reset
	count   int              // guarded by mu; number of resets
	fair    bool             // guarded by mu; the last turn was a reset's
}

func (s *schedule) init() { s.cond.L = &s.mu; s.stopped = true }

// start empties the list and lets wait block again.
func (s *schedule) start() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clear()
	s.stopped = false
}

// stop empties the list and ends wait.
func (s *schedule) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clear()
	s.stopped = true
	s.cond.Broadcast()
}

// clear forgets all work. Precondition: mu is held.
func (s *schedule) clear() {
	for c := s.head; c != nil; {
		next := c.next
		c.next, c.queued = nil, false
		c = next
	}
	s.head, s.tail, s.first, s.count = nil, nil, 0, 0
}

// add puts c at the end of the list unless it is on it. Conn.mu may be held.
func (s *schedule) add(c *Conn) {
	s.mu.Lock()
	if !c.queued && !s.stopped {
		c.queued = true
		if s.tail == nil {
			s.head = c
		} else {
			s.tail.next = c
		}
		s.tail = c
		s.cond.Signal()
	}
	s.mu.Unlock()
}

// addReset queues r and reports whether there was room.
func (s *schedule) addReset(r reset) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.count == maxResets || s.stopped {
		return false
	}
	s.resets[(s.first+s.count)%maxResets] = r
	s.count++
	s.cond.Signal()
	return true
}

// empty reports whether there is nothing to do.
func (s *schedule) empty() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.head == nil && s.count == 0
}

// wait blocks until there is something to do; false means stop.
func (s *schedule) wait() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.head == nil && s.count == 0 && !s.stopped {
		s.cond.Wait()
	}
	return !s.stopped
}

// take removes the next piece of work: a connection, or if that is nil a reset. Resets and connections take turns, so
// that neither starves. ok is false if there is nothing.
func (s *schedule) take() (c *Conn, r reset, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.count > 0 && (s.head == nil || !s.fair) {
		s.fair = true
		r = s.resets[s.first]
		s.first = (s.first + 1) % maxResets
		s.count--
		return nil, r, true
	}
	s.fair = false
	c = s.head
	if c == nil {
		return nil, reset{}, false
	}
	s.head = c.next
	if s.head == nil {
		s.tail = nil
	}
	c.next, c.queued = nil, false
	return c, reset{}, true
}
