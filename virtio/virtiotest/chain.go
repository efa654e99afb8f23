package virtiotest

import (
	"bytes"
	"encoding/binary"

	"github.com/husk-vm/husk/internal/guestmem"
)

// chain is a request in flight.
type chain struct {
	descs    []uint16 // of the table
	bufs     []buffer
	writable uint64
}

// buffer is guest memory between two canaries.
type buffer struct {
	whole guestmem.Range // with the canaries
	n     uint64
	in    bool
}

const (
	canaryBytes = 16
	canary      = 0xa5
	unwritten   = 0xee
)

// arena gives out RAM for buffers and takes it all back when nothing is in flight.
type arena struct {
	all  guestmem.Range
	next uint64
}

// arenaBytes is the RAM that one queue's requests in flight may need.
const arenaBytes = 2 << 20

func (a *arena) init(d *Driver) {
	a.all = d.Alloc(min(arenaBytes, uint64(d.end)/4), 16)
}

func (a *arena) alloc(n uint64) (guestmem.Range, error) {
	r, err := a.all.Slice(a.next, n)
	a.next += (n + 15) &^ 15
	return r, err
}

// build writes the descriptors of a request and returns its head.
func (q *Queue) build(parts []Part, indirect bool) uint16 {
	q.d.t.Helper()
	if q.inFlight == 0 {
		q.arena.next = 0
	}
	need := len(parts)
	if indirect {
		need = 1
	}
	if need == 0 || need > len(q.free) {
		q.d.t.Fatalf("queue %d: %d descriptors wanted, %d free", q.Index, need, len(q.free))
	}
	c := &chain{}
	for range need {
		c.descs = append(c.descs, q.free[len(q.free)-1])
		q.free = q.free[:len(q.free)-1]
	}
	table := make([]byte, 16*len(parts))
	for i, p := range parts {
		b := q.buffer(p)
		c.bufs = append(c.bufs, b)
		flags, next := uint16(0), uint16(0)
		if b.in {
			flags |= 2
			c.writable += b.n
		}
		if i+1 < len(parts) {
			flags |= 1
			next = uint16(i + 1)
			if !indirect {
				next = c.descs[i+1]
			}
		}
		PutDesc(table[16*i:], uint64(b.whole.Addr())+canaryBytes, uint32(b.n), flags, next)
	}
	if indirect {
		r, err := q.arena.alloc(uint64(len(table)))
		q.must(err)
		q.must(r.Write(0, table))
		table = make([]byte, 16)
		PutDesc(table, uint64(r.Addr()), uint32(r.Len()), 4, 0)
	}
	for i, n := range c.descs {
		q.must(q.Desc.Write(16*uint64(n), table[16*i:16*i+16]))
	}
	q.flight[c.descs[0]] = c
	q.inFlight++
	return c.descs[0]
}

// PutDesc encodes one descriptor [VIRTIO §2.7.5].
func PutDesc(p []byte, addr uint64, n uint32, flags, next uint16) {
	binary.LittleEndian.PutUint64(p[0:], addr)
	binary.LittleEndian.PutUint32(p[8:], n)
	binary.LittleEndian.PutUint16(p[12:], flags)
	binary.LittleEndian.PutUint16(p[14:], next)
}

func (q *Queue) buffer(p Part) buffer {
	q.d.t.Helper()
	n := uint64(p.len())
	whole, err := q.arena.alloc(n + 2*canaryBytes)
	q.must(err)
	fill := bytes.Repeat([]byte{canary}, int(whole.Len()))
	if p.dir == dirIn {
		for i := range n {
			fill[canaryBytes+i] = unwritten
		}
	} else {
		copy(fill[canaryBytes:], p.out)
	}
	q.must(whole.Write(0, fill))
	return buffer{whole: whole, n: n, in: p.dir == dirIn}
}

// finish checks a used entry and takes the chain back.
func (q *Queue) finish(id, written uint32) Result {
	q.d.t.Helper()
	if id >= uint32(q.Size) || q.flight[id] == nil {
		q.d.t.Fatalf("queue %d: used head %d is not in flight", q.Index, id)
	}
	c := q.flight[id]
	if uint64(written) > c.writable {
		q.d.t.Errorf("queue %d: head %d: %d bytes written into %d", q.Index, id, written, c.writable)
	}
	r := Result{Head: uint16(id), Written: written}
	for _, b := range c.bufs {
		p := q.checkBuffer(b)
		if b.in {
			r.In = append(r.In, p)
		}
	}
	q.free = append(q.free, c.descs...)
	q.flight[id] = nil
	q.inFlight--
	return r
}

// checkBuffer looks at the canaries and returns a copy of what is between them.
func (q *Queue) checkBuffer(b buffer) []byte {
	q.d.t.Helper()
	p := make([]byte, b.whole.Len())
	q.must(b.whole.Read(0, p))
	edge := bytes.Repeat([]byte{canary}, canaryBytes)
	if !bytes.Equal(p[:canaryBytes], edge) || !bytes.Equal(p[canaryBytes+b.n:], edge) {
		q.d.t.Errorf("queue %d: bytes around the buffer at %#x changed", q.Index, uint64(b.whole.Addr())+canaryBytes)
	}
	return p[canaryBytes : canaryBytes+b.n]
}

// check looks at what is still in flight.
func (q *Queue) check() {
	q.d.t.Helper()
	for _, c := range q.flight {
		if c == nil {
			continue
		}
		for _, b := range c.bufs {
			q.checkBuffer(b)
		}
	}
}
