package serial

import "io"

// Feed gives the guest input, as much of p as there is room for, and returns how much that was. It does not block. After
// Close it takes nothing.
func (u *UART) Feed(p []byte) int {
	fed := 0
	u.change(func() {
		for !u.closed {
			n := u.input.push(p[fed:])
			u.refill() // makes room
			if fed += n; n == 0 {
				return
			}
		}
	})
	return fed
}

// Input returns a writer that gives the guest input and waits for room: what reads the host's terminal stops reading
// when the guest does. After Close its Write returns io.ErrClosedPipe.
func (u *UART) Input() io.Writer { return inputWriter{u} }

type inputWriter struct{ u *UART }

// Write implements io.Writer.
func (w inputWriter) Write(p []byte) (n int, err error) {
	for {
		n += w.u.Feed(p[n:])
		if n == len(p) {
			notify(w.u.room) // there may be more room, and another writer
			return n, nil
		}
		select {
		case <-w.u.room:
		case <-w.u.closing:
			return n, io.ErrClosedPipe
		}
	}
}

// refill moves what the host sent into the FIFO. In loopback the receiver is not connected to the wire.
// Preconditions: mu is held.
func (u *UART) refill() {
	if u.regs.mcr&mcrLoop != 0 || u.input.n == 0 || u.rx.n >= u.depth() {
		return
	}
	var b [fifoSize]byte
	for _, v := range b[:u.input.pop(b[:u.depth()-u.rx.n])] {
		u.rx.push(v)
	}
	notify(u.room)
}
