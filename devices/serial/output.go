package serial

import (
	"context"
	"fmt"
	"time"
)

// chunkSize is how many bytes one Write of the host gets at most: little enough that a slow terminal's progress shows,
// much enough that a fast one costs few system calls.
const chunkSize = 4 << 10

// Start begins to write the guest's output. Call it once, before the guest runs; call Close to stop.
func (u *UART) Start() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.started || u.closed {
		panic("BUG: serial: Start called twice, or after Close")
	}
	u.started = true
	go u.drain()
}

// Close writes out what the guest sent so far and waits for that, but not longer than ctx: then it returns an error and
// forgets the rest; the writing goroutine ends when its present Write does. From now on the guest's output is dropped,
// and writers of input get io.ErrClosedPipe. It may be called again, to wait again.
func (u *UART) Close(ctx context.Context) error {
	u.mu.Lock()
	if !u.closed {
		u.closed = true
		u.unstall()
		close(u.closing)
	}
	started := u.started
	u.mu.Unlock()
	if !started {
		return nil
	}
	select {
	case <-u.drained:
		return nil
	case <-ctx.Done():
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	left := u.output.n
	u.n.Dropped += uint64(left)
	u.output.drop(left)
	return fmt.Errorf("close serial port: %d bytes of output and a write under way left: %w", left, ctx.Err())
}

// drain is the goroutine that writes output to the host.
func (u *UART) drain() {
	defer close(u.drained)
	chunk := make([]byte, chunkSize)
	for {
		u.mu.Lock()
		n := u.output.pop(chunk)
		closed := u.closed
		u.mu.Unlock()
		if n > 0 {
			done, err := u.out.Write(chunk[:n])
			u.change(func() { u.progress(n, done, err) })
			continue
		}
		if closed {
			return
		}
		select {
		case <-u.pending:
		case <-u.closing:
		}
	}
}

// progress notes that the host wrote done of n bytes.
// Preconditions: mu is held.
func (u *UART) progress(n, done int, err error) {
	if err != nil {
		u.n.Errors++
	}
	if done < n {
		u.n.Dropped += uint64(n - max(done, 0))
	}
	u.lossy = false
	switch {
	case !u.stalled:
	case u.output.room() < OutputSize/2:
		u.watch() // slow, not stopped
	default:
		u.unstall()
		u.regs.thre = true
	}
}

// transmit takes a character for the host. A full buffer loses its oldest.
// Preconditions: mu is held.
func (u *UART) transmit(v uint8) {
	if u.closed {
		u.n.Dropped++
		return
	}
	if u.output.room() == 0 {
		u.output.drop(1)
		u.n.Dropped++
	}
	if u.output.push([]byte{v}); u.output.n == 1 {
		notify(u.pending) // the writing goroutine sleeps only when it found nothing
	}
	// THRE promises room for a FIFO of characters.
	if u.output.room() < fifoSize && !u.stalled && !u.lossy {
		u.stalled = true
		u.watch()
	}
}

// watch gives the host stallTime, from now, to take something. It is the only timer: it runs while the guest waits.
// Preconditions: mu is held, stalled is set.
func (u *UART) watch() {
	if u.timer != nil {
		u.timer.Stop()
	}
	var self *time.Timer
	self = time.AfterFunc(stallTime, func() {
		u.change(func() {
			if u.timer != self { // Stop came too late for this one
				return
			}
			u.unstall()
			u.lossy = true
			u.regs.thre = true
		})
	})
	u.timer = self
}

// unstall lets THRE rise.
// Preconditions: mu is held.
func (u *UART) unstall() {
	u.stalled = false
	if u.timer != nil {
		u.timer.Stop()
		u.timer = nil
	}
}

// notify sets a one-slot event.
func notify(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
