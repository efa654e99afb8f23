package hostos

import "golang.org/x/sys/unix"

// Datasync makes what was written survive a loss of power, with as much of the metadata as reading it back needs.
func (f *FD) Datasync() error { return f.do("fdatasync", unix.Fdatasync) }

// PunchHole gives the storage of n bytes from off on back to the file system; they read as zeros. The file's length
// stays. Where it cannot be done the error satisfies errors.Is(err, errors.ErrUnsupported).
func (f *FD) PunchHole(off, n int64) error {
	return f.do("fallocate", func(fd int) error {
		return unix.Fallocate(fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, off, n)
	})
}

// ZeroRange makes n bytes from off on zeros that keep their storage, without writing them. The file's length stays.
// Where it cannot be done the error satisfies errors.Is(err, errors.ErrUnsupported).
func (f *FD) ZeroRange(off, n int64) error {
	return f.do("fallocate", func(fd int) error {
		return unix.Fallocate(fd, unix.FALLOC_FL_ZERO_RANGE|unix.FALLOC_FL_KEEP_SIZE, off, n)
	})
}
