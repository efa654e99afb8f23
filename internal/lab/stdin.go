package lab

import (
	"fmt"
	"io"
	"sync"
)

// A stdinFeeder passes input to a command that reads at its own pace. The sender stays within the credit it was
// granted, so that feed never waits and signals never queue behind input.
//
// A nil feeder belongs to a command without input: it takes nothing.
type stdinFeeder struct {
	mu      sync.Mutex
	queued  [][]byte      // guarded by mu
	inside  int           // bytes granted and not yet consumed; guarded by mu
	ended   bool          // guarded by mu
	wake    chan struct{} // one slot: something above has changed
	stopped chan struct{} // closed when the pump has returned
	quit    chan struct{} // closed to make it return
	once    sync.Once
}

// creditSender is the way back to the sender.
type creditSender interface {
	send(t frameType, payload []byte) error
}

// newStdinFeeder grants the first window and starts to pump into w, which it closes in the end.
func newStdinFeeder(w io.WriteCloser, back creditSender) *stdinFeeder {
	s := &stdinFeeder{wake: make(chan struct{}, 1), stopped: make(chan struct{}), quit: make(chan struct{})}
	go s.pump(w, back)
	return s
}

// pump writes what is queued and grants it anew.
func (s *stdinFeeder) pump(w io.WriteCloser, back creditSender) {
	defer close(s.stopped)
	defer w.Close()
	if back.send(frameCredit, creditPayload(stdinWindow)) != nil {
		return
	}
	broken := false
	for {
		s.mu.Lock()
		chunks, ended := s.queued, s.ended
		s.queued = nil
		s.mu.Unlock()
		for _, c := range chunks {
			if !broken {
				_, err := w.Write(c)
				broken = err != nil // the command reads no more: swallow the rest, as a pipe's reader may
			}
			s.mu.Lock()
			s.inside -= len(c)
			s.mu.Unlock()
			if back.send(frameCredit, creditPayload(len(c))) != nil {
				return
			}
		}
		if len(chunks) > 0 {
			continue
		}
		if ended {
			return
		}
		select {
		case <-s.wake:
		case <-s.quit:
			return
		}
	}
}

// feed queues input. More than was granted is an error.
func (s *stdinFeeder) feed(p []byte) error {
	if s == nil || len(p) == 0 {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.inside+len(p) > stdinWindow {
		return fmt.Errorf("lab: input: %w: beyond its credit", errFrame)
	}
	s.inside += len(p)
	s.queued = append(s.queued, p)
	s.notify()
	return nil
}

// end says that no more input comes.
func (s *stdinFeeder) end() {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	s.notify()
}

// notify wakes the pump.
func (s *stdinFeeder) notify() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// close stops the pump and waits for it. The command must be gone, or its pipe's reader would be waited for.
func (s *stdinFeeder) close() {
	if s == nil {
		return
	}
	s.once.Do(func() { close(s.quit) })
	<-s.stopped
}
