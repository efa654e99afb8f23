package machine

import (
	"errors"
	"io"
	"sync"
)

// input carries what a host reader has to the UART of the present incarnation. Reading cannot be interrupted, so the
// goroutine that reads outlives resets, and may outlive the machine inside a Read that never returns.
type input struct {
	mu     sync.Mutex
	cond   *sync.Cond
	to     io.Writer // guarded by mu; nil between incarnations
	closed bool      // guarded by mu
}

// newInput starts to read from r; nil is never read.
func newInput(r io.Reader) *input {
	in := &input{}
	in.cond = sync.NewCond(&in.mu)
	if r != nil {
		go in.pump(r)
	}
	return in
}

func (in *input) pump(r io.Reader) {
	buf := make([]byte, 4096)
	for {
		n, err := r.Read(buf)
		if !in.give(buf[:n]) || err != nil {
			return
		}
	}
}

// give writes p to whoever takes input now, and to the next one if that ends meanwhile.
func (in *input) give(p []byte) bool {
	for len(p) > 0 {
		in.mu.Lock()
		for in.to == nil && !in.closed {
			in.cond.Wait()
		}
		to, closed := in.to, in.closed
		in.mu.Unlock()
		if closed {
			return false
		}
		n, err := to.Write(p)
		p = p[n:]
		if err != nil && !errors.Is(err, io.ErrClosedPipe) {
			return false
		}
		if err != nil {
			in.detach(to)
		}
	}
	return true
}

// attach makes w the taker of input.
func (in *input) attach(w io.Writer) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.to = w
	in.cond.Broadcast()
}

// detach makes w the taker no longer.
func (in *input) detach(w io.Writer) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.to == w {
		in.to = nil
	}
}

func (in *input) close() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.closed = true
	in.cond.Broadcast()
}
