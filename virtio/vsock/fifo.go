package vsock

import "sync"

// chunkSize is the unit in which receive buffers grow, in bytes: small enough that a thousand connections holding a few
// bytes each are cheap, large enough that a full packet needs only five copies.
const chunkSize = 16 << 10

// chunk is a piece of a receive buffer: b[r:w] is data.
type chunk struct {
	next *chunk
	r, w int
	b    [chunkSize]byte
}

// chunkPool lends chunks to the connections of one device.
type chunkPool struct{ pool sync.Pool }

func (p *chunkPool) get() *chunk {
	if k, ok := p.pool.Get().(*chunk); ok {
		return k
	}
	return new(chunk)
}

func (p *chunkPool) put(k *chunk) {
	k.next, k.r, k.w = nil, 0, 0
	p.pool.Put(k)
}

// source is where a payload is copied from; a *virtio.Chain is one.
type source interface {
	ReadAt(p []byte, off uint64) error
}

// fifo is the receive buffer of one connection. One producer calls reserve, copyIn and commit in turn; copyIn alone runs
// without the lock that guards the rest, because it touches guest memory. An empty fifo holds no memory.
type fifo struct {
	pool       *chunkPool
	head, tail *chunk // tail is the last chunk with data
	size       int    // bytes stored
	filling    bool   // between reserve and commit: chunks from tail on belong to the producer
	dead       bool   // discard was called: the producer's chunks go back to the pool in commit
}

// reserve makes room for n bytes, n > 0, and says where copyIn starts.
func (f *fifo) reserve(n int) (k *chunk, off int) {
	f.filling = true
	if f.tail == nil {
		f.head = f.pool.get()
		f.tail = f.head
	}
	k, off = f.tail, f.tail.w
	last := f.tail
	for n -= chunkSize - off; n > 0; n -= chunkSize {
		last.next = f.pool.get()
		last = last.next
	}
	return k, off
}

// copyIn copies n bytes of src, from its offset at on, to the place that reserve gave.
func copyIn(k *chunk, off int, src source, at uint64, n int) error {
	for n > 0 {
		if off == chunkSize {
			k, off = k.next, 0
		}
		m := min(n, chunkSize-off)
		if err := src.ReadAt(k.b[off:off+m], at); err != nil {
			return err
		}
		off, at, n = off+m, at+uint64(m), n-m
	}
	return nil
}

// commit makes n bytes readable, which copyIn has written; n is 0 if that failed.
func (f *fifo) commit(n int) {
	f.filling = false
	f.size += n
	for n > 0 {
		m := min(n, chunkSize-f.tail.w)
		f.tail.w += m
		if n -= m; n > 0 {
			f.tail = f.tail.next
		}
	}
	for k := f.tail.next; k != nil; { // reserved, but not filled
		next := k.next
		f.pool.put(k)
		k = next
	}
	f.tail.next = nil
	if f.dead || f.size == 0 {
		f.release()
	}
}

// read moves at most one chunk of data to p and returns its length.
func (f *fifo) read(p []byte) int {
	for f.head != nil && f.head.r == f.head.w && f.head != f.tail {
		f.pop()
	}
	if f.size == 0 || len(p) == 0 {
		return 0
	}
	n := copy(p, f.head.b[f.head.r:f.head.w])
	f.head.r += n
	f.size -= n
	if f.size == 0 && !f.filling {
		f.release()
	}
	return n
}

// discard throws all data away, now and in the future, and returns how much there was.
func (f *fifo) discard() int {
	n := f.size
	f.dead = true
	f.size = 0
	if !f.filling {
		f.release()
	}
	return n
}

// pop returns the first chunk to the pool.
func (f *fifo) pop() {
	k := f.head
	f.head = k.next
	f.pool.put(k)
}

// release returns all chunks. Precondition: the producer is not filling.
func (f *fifo) release() {
	for f.head != nil {
		f.pop()
	}
	f.tail = nil
	f.size = 0
}
