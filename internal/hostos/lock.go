package hostos

import (
	"errors"
	"fmt"
	"os"
)

// ErrLocked says that someone else holds a lock.
var ErrLocked = errors.New("locked by someone else")

// LockExclusive locks f's open file for one holder, LockShared for any number of them. They do not wait: ErrLocked means
// that someone, perhaps in this process, holds a lock that excludes this one. Locks bind those who ask only. The lock
// goes when every descriptor of the open file is closed, so also when the process dies.
func LockExclusive(f *os.File) error { return lockError(f, tryLock(f, true)) }

// LockShared is LockExclusive's gentler sister.
func LockShared(f *os.File) error { return lockError(f, tryLock(f, false)) }

func lockError(f *os.File, err error) error {
	if err != nil {
		return fmt.Errorf("lock %s: %w", f.Name(), err)
	}
	return nil
}
