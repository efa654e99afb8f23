package blk_test

import (
	"encoding/binary"
	"testing"

	"github.com/husk-vm/husk/virtio/blk"
	"github.com/husk-vm/husk/virtio/virtiotest"
)

// Request types, status values and feature bits as a driver writes them, from the spec and not from the device.
const (
	typeIn, typeOut, typeFlush, typeGetID, typeDiscard, typeWriteZeroes = 0, 1, 4, 8, 11, 13

	ok, ioErr, unsupp = 0, 1, 2

	bitRO, bitFlush, bitWCE, bitMQ, bitDiscard, bitWriteZeroes = 1 << 5, 1 << 9, 1 << 11, 1 << 12, 1 << 13, 1 << 14
)

// newDisk makes a device over b, with defaults where c has no value.
func newDisk(t testing.TB, b blk.Backend, c blk.Config) *blk.Device {
	t.Helper()
	c.Backend = b
	d, err := blk.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// header encodes struct virtio_blk_req.
func header(typ uint32, sector uint64) []byte {
	p := make([]byte, 16)
	binary.LittleEndian.PutUint32(p[0:], typ)
	binary.LittleEndian.PutUint32(p[4:], 0xdeadbeef) // reserved: the device ignores it
	binary.LittleEndian.PutUint64(p[8:], sector)
	return p
}

// segment encodes struct virtio_blk_discard_write_zeroes.
func segment(sector uint64, sectors, flags uint32) []byte {
	p := make([]byte, 16)
	binary.LittleEndian.PutUint64(p[0:], sector)
	binary.LittleEndian.PutUint32(p[8:], sectors)
	binary.LittleEndian.PutUint32(p[12:], flags)
	return p
}

// status is the last byte of the writable part.
func status(r virtiotest.Result) byte {
	last := r.In[len(r.In)-1]
	return last[len(last)-1]
}

// do sends one request in the usual three descriptors and returns the data and status that came back.
func do(q *virtiotest.Queue, typ uint32, sector uint64, out []byte, in int) (data []byte, st byte) {
	parts := []virtiotest.Part{virtiotest.Out(header(typ, sector))}
	if len(out) > 0 {
		parts = append(parts, virtiotest.Out(out))
	}
	if in > 0 {
		parts = append(parts, virtiotest.In(in))
	}
	r := q.Do(append(parts, virtiotest.In(1))...)
	if in > 0 {
		data = r.In[0]
	}
	return data, status(r)
}
