//go:build linux || darwin

package disk

import (
	"os"
	"sync"

	"github.com/husk-vm/husk/internal/hostos"
)

// hostFile is a file by its descriptor. vectors are the tables that calls hand to the kernel: as many as there ever were
// calls at one time.
type hostFile struct {
	fd      *hostos.FD
	vectors sync.Pool // of *hostos.Vectors
}

// newHostFile takes over f if there is no error.
func newHostFile(f *os.File) (file, error) {
	fd, err := hostos.DupFD(f)
	if err != nil {
		return nil, err
	}
	f.Close() // the duplicate holds what is open, and its lock
	return &hostFile{fd: fd, vectors: sync.Pool{New: func() any { return new(hostos.Vectors) }}}, nil
}

func (f *hostFile) pread(p []byte, off int64) (int, error)  { return f.fd.Pread(p, off) }
func (f *hostFile) pwrite(p []byte, off int64) (int, error) { return f.fd.Pwrite(p, off) }

func (f *hostFile) preadv(bufs [][]byte, off int64) (int, error) {
	v := f.vectors.Get().(*hostos.Vectors)
	defer f.vectors.Put(v)
	return v.Preadv(f.fd, bufs, off)
}

func (f *hostFile) pwritev(bufs [][]byte, off int64) (int, error) {
	v := f.vectors.Get().(*hostos.Vectors)
	defer f.vectors.Put(v)
	return v.Pwritev(f.fd, bufs, off)
}

func (f *hostFile) datasync() error           { return f.fd.Datasync() }
func (f *hostFile) truncate(size int64) error { return f.fd.Truncate(size) }
func (f *hostFile) punch(off, n int64) error  { return f.fd.PunchHole(off, n) }
func (f *hostFile) zero(off, n int64) error   { return f.fd.ZeroRange(off, n) }
func (f *hostFile) Close() error              { return f.fd.Close() }
