package hostos

import (
	"os"
	"sync/atomic"
)

// FD owns a file descriptor. It exists because the number of a descriptor is reused as soon as it is closed: whoever
// passes the number to the kernel brackets that with Acquire and Release, and the descriptor is closed by whoever
// leaves last. Methods may be called from any goroutine. There is no finalizer: owners call Close.
type FD struct {
	fd    int
	state atomic.Int64 // users under way, + fdClosed once Close was called
}

const fdClosed = int64(1) << 62

// NewFD takes over the descriptor fd.
func NewFD(fd int) *FD { return &FD{fd: fd} }

// Acquire returns the descriptor's number, which is valid until Release. After Close the error is os.ErrClosed.
func (f *FD) Acquire() (int, error) {
	for {
		n := f.state.Load()
		if n >= fdClosed {
			return -1, os.ErrClosed
		}
		if f.state.CompareAndSwap(n, n+1) {
			return f.fd, nil
		}
	}
}

// Release ends what Acquire began.
func (f *FD) Release() {
	if f.state.Add(-1) == fdClosed {
		_ = closeFD(f.fd) // the owner was told nothing went wrong when Close found the descriptor in use
	}
}

// Close gives the descriptor up: Acquire fails from now on, and the last user's Release closes it; without users Close
// does so itself. It does not wait. A second Close does nothing.
func (f *FD) Close() error {
	for {
		n := f.state.Load()
		if n >= fdClosed {
			return nil
		}
		if f.state.CompareAndSwap(n, n+fdClosed) {
			if n != 0 {
				return nil
			}
			return closeFD(f.fd)
		}
	}
}

// open reports whether Close was not called yet.
func (f *FD) open() bool { return f.state.Load() < fdClosed }
