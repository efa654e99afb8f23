package hostos

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Event wakes one thread. Rings before Wait are remembered; many may count as one. It is an eventfd, which KVM can ring
// and read by itself, and Wait is a plain blocking read: of all ways to sleep it wakes a locked thread soonest.
type Event struct {
	fd *FD
}

// NewEvent makes an event that is not set.
func NewEvent() (*Event, error) {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("hostos: event: %w", os.NewSyscallError("eventfd2", err))
	}
	return &Event{fd: NewFD(fd)}, nil
}

// FD is the eventfd, for a kernel interface that rings it or waits for it. The event stays its owner.
func (e *Event) FD() *FD { return e.fd }

// Ring sets the event. Any goroutine; it does not block. After Close it does nothing.
func (e *Event) Ring() {
	fd, err := e.fd.Acquire()
	if err != nil {
		return
	}
	ring(fd)
	e.fd.Release()
}

// ring adds one to the counter. That could fail only at 2^64-1 unread rings.
func ring(fd int) {
	one := [8]byte{1} // eventfd counts in the host's byte order; any number but zero is a ring
	for {
		if _, err := unix.Write(fd, one[:]); err != unix.EINTR {
			return
		}
	}
}

// Wait blocks the calling thread until the event is set, clears it and returns true. After Close it returns false, at
// once and for ever. One goroutine only.
func (e *Event) Wait() bool {
	fd, err := e.fd.Acquire()
	if err != nil {
		return false
	}
	defer e.fd.Release()
	var count [8]byte
	for {
		_, err := unix.Read(fd, count[:])
		if err == unix.EINTR {
			continue
		}
		return err == nil && e.fd.open()
	}
}

// Close wakes the waiter for good. It may be called twice. The eventfd is closed when no Wait runs and nobody who
// acquired FD still uses it.
func (e *Event) Close() error {
	fd, err := e.fd.Acquire()
	if err != nil {
		return nil // closed before
	}
	err = e.fd.Close() // first: the waiter must find it closed when it wakes
	ring(fd)
	e.fd.Release()
	return err
}
