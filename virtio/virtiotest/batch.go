package virtiotest

import "encoding/binary"

// Batch is a fixed set of requests that are posted again and again without an allocation: for benchmarks.
type Batch struct {
	q     *Queue
	heads []uint16
}

// Batch builds n equal requests; their buffers are not checked. Nothing else may use the queue from then on.
func (q *Queue) Batch(n int, indirect bool, parts ...Part) *Batch {
	q.d.t.Helper()
	b := &Batch{q: q}
	for range n {
		b.heads = append(b.heads, q.build(parts, indirect))
	}
	return b
}

// Post makes all requests available, with one store of the index.
func (b *Batch) Post() {
	q := b.q
	for _, h := range b.heads {
		q.must(q.Avail.Store16(4+2*uint64(q.posted&(q.Size-1)), h))
		q.posted++
	}
	q.must(q.Avail.Store16(2, q.posted))
}

// Take takes what the device has used and returns how many requests that is. It asks for an interrupt at the next one.
func (b *Batch) Take() int {
	q := b.q
	idx, err := q.Used.Load16(2)
	q.must(err)
	n := idx - q.taken
	if n > uint16(len(b.heads)) {
		q.d.t.Fatalf("queue %d: %d requests used of %d", q.Index, n, len(b.heads))
	}
	for range n {
		var e [8]byte
		q.must(q.Used.Read(4+8*uint64(q.taken&(q.Size-1)), e[:]))
		if id := binary.LittleEndian.Uint32(e[:]); id >= uint32(q.Size) || q.flight[id] == nil {
			q.d.t.Fatalf("queue %d: used head %d is not in flight", q.Index, id)
		}
		q.taken++
	}
	if q.eventIdx && n > 0 {
		q.must(q.Avail.Store16(4+2*uint64(q.Size), q.taken))
	}
	return int(n)
}

// Run posts all requests, kicks, and waits until the device used them.
func (b *Batch) Run() {
	b.Post()
	b.q.Kick()
	for n := b.Take(); n < len(b.heads); {
		<-b.q.d.Transport.Interrupt(b.q.Index)
		n += b.Take()
	}
}
