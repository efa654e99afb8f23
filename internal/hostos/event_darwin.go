package hostos

import (
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Event wakes one thread. Rings before Wait are remembered; many may count as one. It is a pipe that holds at most its
// capacity of rings, written without blocking and read with.
type Event struct {
	r, w *FD
}

// NewEvent makes an event that is not set.
func NewEvent() (*Event, error) {
	var p [2]int
	syscall.ForkLock.RLock() // no pipe2 here: no fork between the pipe and its flags
	err := unix.Pipe(p[:])
	if err == nil {
		unix.CloseOnExec(p[0])
		unix.CloseOnExec(p[1])
	}
	syscall.ForkLock.RUnlock()
	if err == nil {
		err = unix.SetNonblock(p[1], true) // a full pipe is set enough
	}
	if err != nil {
		return nil, fmt.Errorf("hostos: event: %w", os.NewSyscallError("pipe", err))
	}
	return &Event{r: NewFD(p[0]), w: NewFD(p[1])}, nil
}

// Ring sets the event. Any goroutine; it does not block. After Close it does nothing.
func (e *Event) Ring() {
	fd, err := e.w.Acquire()
	if err != nil {
		return
	}
	ring(fd)
	e.w.Release()
}

func ring(fd int) {
	for {
		if _, err := unix.Write(fd, []byte{1}); err != unix.EINTR {
			return
		}
	}
}

// Wait blocks the calling thread until the event is set, clears it and returns true. After Close it returns false, at
// once and for ever. One goroutine only.
func (e *Event) Wait() bool {
	fd, err := e.r.Acquire()
	if err != nil {
		return false
	}
	defer e.r.Release()
	var rings [64]byte
	for {
		_, err := unix.Read(fd, rings[:])
		if err == unix.EINTR {
			continue
		}
		return err == nil && e.r.open()
	}
}

// Close wakes the waiter for good. It may be called twice.
func (e *Event) Close() error {
	fd, err := e.w.Acquire()
	if err != nil {
		return nil // closed before
	}
	err = e.r.Close() // first: the waiter must find it closed when it wakes
	ring(fd)
	e.w.Release()
	if werr := e.w.Close(); err == nil {
		err = werr
	}
	return err
}
