//go:build !linux && !darwin

package disk

import (
	"errors"
	"io"
	"os"
)

// hostFile is a file by way of package os: what every host has. A vector costs a call a piece, and holes are zeros that
// are written.
type hostFile struct{ *os.File }

// newHostFile takes over f if there is no error.
func newHostFile(f *os.File) (file, error) { return hostFile{f}, nil }

func (f hostFile) pread(p []byte, off int64) (int, error) {
	n, err := f.ReadAt(p, off)
	if err == io.EOF { // which mover knows as 0 bytes
		err = nil
	}
	return n, err
}

func (f hostFile) pwrite(p []byte, off int64) (int, error) { return f.WriteAt(p, off) }

func (f hostFile) preadv(bufs [][]byte, off int64) (n int, err error) {
	for _, p := range bufs {
		k, err := f.pread(p, off+int64(n))
		if n += k; err != nil || k < len(p) {
			return n, err
		}
	}
	return n, nil
}

func (f hostFile) pwritev(bufs [][]byte, off int64) (n int, err error) {
	for _, p := range bufs {
		k, err := f.pwrite(p, off+int64(n))
		if n += k; err != nil || k < len(p) {
			return n, err
		}
	}
	return n, nil
}

func (f hostFile) datasync() error           { return f.Sync() }
func (f hostFile) truncate(size int64) error { return f.Truncate(size) }
func (f hostFile) punch(off, n int64) error  { return errors.ErrUnsupported }
func (f hostFile) zero(off, n int64) error   { return errors.ErrUnsupported }
