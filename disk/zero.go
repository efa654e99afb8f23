package disk

import "errors"

// zeros is what WriteZeroes writes where the file system knows no better way. Nobody changes it.
var zeros [256 << 10]byte

// Discard gives the storage of n bytes from off on back to the host; they read as zeros afterwards. The error satisfies
// errors.Is(err, errors.ErrUnsupported) where the file system cannot do that.
func (r *Raw) Discard(off, n int64) error {
	if err := r.writable("discard", off, n); err != nil || n == 0 {
		return err
	}
	if r.noPunch.Load() {
		return r.failed("discard", errors.ErrUnsupported)
	}
	err := r.f.punch(off, n)
	if errors.Is(err, errors.ErrUnsupported) {
		r.noPunch.Store(true)
	}
	return r.failed("discard", err)
}

// WriteZeroes makes n bytes from off on read as zeros; only with unmap may their storage go back to the host. Where the
// file system has no quick way, zeros are written.
func (r *Raw) WriteZeroes(off, n int64, unmap bool) error {
	if err := r.writable("write zeroes", off, n); err != nil || n == 0 {
		return err
	}
	if unmap && !r.noPunch.Load() {
		err := r.f.punch(off, n)
		if !errors.Is(err, errors.ErrUnsupported) {
			return r.failed("write zeroes", err)
		}
		r.noPunch.Store(true)
	}
	if !r.noZero.Load() {
		err := r.f.zero(off, n)
		if !errors.Is(err, errors.ErrUnsupported) {
			return r.failed("write zeroes", err)
		}
		r.noZero.Store(true)
	}
	for n > 0 {
		k, err := r.out.full(zeros[:min(n, int64(len(zeros)))], off)
		if err != nil {
			return r.wrote(err)
		}
		off, n = off+int64(k), n-int64(k)
	}
	return nil
}
