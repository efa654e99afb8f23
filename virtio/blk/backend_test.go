package blk_test

import (
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/husk-vm/husk/virtio/blk"
)

var errDisk = errors.New("test disk: input/output error")

// memDisk is a disk in memory with every capability. Accesses outside its size are remembered as its failure.
type memDisk struct {
	mu     sync.Mutex
	data   []byte // guarded by mu
	size   int64  // guarded by mu: what Size says; 0 means len(data)
	ops    []string
	strays []string // guarded by mu: accesses beyond the size
	// fault, if set, is asked before each operation on n bytes how many it may do, and what it then returns.
	fault func(op string, off int64, n int) (allowed int, err error)
}

func newMemDisk(size int) *memDisk {
	d := &memDisk{data: make([]byte, size)}
	for i := range d.data {
		d.data[i] = byte(i/512) ^ byte(i*7)
	}
	return d
}

func (d *memDisk) Size() int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.size != 0 {
		return d.size
	}
	return int64(len(d.data))
}

// begin notes an operation and returns the bytes it may act on.
func (d *memDisk) begin(op string, off int64, n int) ([]byte, error) {
	if d.fault != nil { // outside of the lock: it may block
		k, err := d.fault(op, off, n)
		if k < n || err != nil {
			n = k
			defer d.mu.Unlock()
			d.mu.Lock()
			return d.data[off : off+int64(n)], err
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ops = append(d.ops, fmt.Sprintf("%s %d+%d", op, off, n))
	if off < 0 || off+int64(n) > int64(len(d.data)) {
		d.strays = append(d.strays, d.ops[len(d.ops)-1])
		return nil, io.EOF
	}
	return d.data[off : off+int64(n)], nil
}

func (d *memDisk) ReadAt(p []byte, off int64) (int, error) {
	src, err := d.begin("read", off, len(p))
	n := copy(p, src)
	return n, err
}

func (d *memDisk) WriteAt(p []byte, off int64) (int, error) {
	dst, err := d.begin("write", off, len(p))
	n := copy(dst, p)
	return n, err
}

func (d *memDisk) ReadvAt(bufs [][]byte, off int64) (n int, err error) {
	src, err := d.begin("readv", off, length(bufs))
	for _, p := range bufs {
		k := copy(p, src)
		src, n = src[k:], n+k
	}
	return n, err
}

func (d *memDisk) WritevAt(bufs [][]byte, off int64) (n int, err error) {
	dst, err := d.begin("writev", off, length(bufs))
	for _, p := range bufs {
		k := copy(dst, p)
		dst, n = dst[k:], n+k
	}
	return n, err
}

func (d *memDisk) Discard(off, n int64) error {
	dst, err := d.begin("discard", off, int(n))
	for i := range dst {
		dst[i] = 0xdd
	}
	return err
}

func (d *memDisk) WriteZeroes(off, n int64, unmap bool) error {
	op := "zero"
	if unmap {
		op = "unmap"
	}
	dst, err := d.begin(op, off, int(n))
	clear(dst)
	return err
}

func (d *memDisk) Sync() error {
	_, err := d.begin("sync", 0, 0)
	return err
}

// log returns the operations since the last call.
func (d *memDisk) log() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	ops := d.ops
	d.ops = nil
	return ops
}

// plain hides the optional capabilities of a back end.
type plain struct{ blk.Backend }

func length(bufs [][]byte) (n int) {
	for _, p := range bufs {
		n += len(p)
	}
	return n
}
