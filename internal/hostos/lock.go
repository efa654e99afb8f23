package hostos

import (
	"errors"
	"os"
)

// ErrLocked means that somebody else holds a lock that excludes the one asked for.
var ErrLocked = errors.New("in use by another process")

// LockShared takes a lock on f's file that any number of holders share; LockExclusive one that excludes all others. They
// do not wait: the error is then ErrLocked. The lock binds only those who ask for it, also within this process, and goes
// with the last descriptor of what f has open. On hosts without such locks the error satisfies
// errors.Is(err, errors.ErrUnsupported).
func LockShared(f *os.File) error { return lockFile(f, false) }

// LockExclusive is described at LockShared.
func LockExclusive(f *os.File) error { return lockFile(f, true) }
