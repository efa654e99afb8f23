package initramfs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"
)

// A lock file saves work, no more: the archive appears by a rename, so two builders would do no harm. It needs nothing of the operating
// system but exclusive creation. Its owner touches it; one that was not touched for long belonged to a program that died.
const (
	lockTouch = time.Second
	lockStale = 10 * time.Second
	lockLook  = 100 * time.Millisecond
)

// lock takes the lock, or waits for it.
func lock(ctx context.Context, name string) (unlock func(), err error) {
	for {
		f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
		if err == nil {
			f.Close()
			return keep(name), nil
		}
		if !errors.Is(err, fs.ErrExist) && !errors.Is(err, fs.ErrPermission) { // Windows: a file that is being removed
			return nil, fmt.Errorf("lock: %w", err)
		}
		if fi, err := os.Stat(name); err == nil && time.Since(fi.ModTime()) > lockStale {
			os.Remove(name) // two may do this at once: see above
			continue
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(lockLook):
		}
	}
}

// keep touches the lock until it is returned.
func keep(name string) (unlock func()) {
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			case <-time.After(lockTouch):
				now := time.Now()
				os.Chtimes(name, now, now) // gone: somebody thought us dead
			}
		}
	}()
	return func() {
		close(stop)
		<-stopped
		os.Remove(name)
	}
}
