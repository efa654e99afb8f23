package serial

// fifo is the receive FIFO. The zero value is empty.
type fifo struct {
	buf     [fifoSize]byte
	head, n int
}

// push wants room, pop wants a character.
func (f *fifo) push(v byte) {
	f.buf[(f.head+f.n)%fifoSize] = v
	f.n++
}

func (f *fifo) pop() byte {
	v := f.buf[f.head]
	f.head = (f.head + 1) % fifoSize
	f.n--
	return v
}

// bytes is a copy of the content, nil if empty.
func (f fifo) bytes() (p []byte) {
	for f.n > 0 {
		p = append(p, f.pop())
	}
	return p
}

// ring is a bounded buffer of bytes. buf is made once, by its owner.
type ring struct {
	buf     []byte
	head, n int
}

func (r *ring) room() int { return len(r.buf) - r.n }

// push appends as much of p as there is room for, and says how much that was.
func (r *ring) push(p []byte) int {
	p = p[:min(len(p), r.room())]
	first := copy(r.buf[(r.head+r.n)%len(r.buf):], p) // up to the end of buf, and the rest from its start
	copy(r.buf, p[first:])
	r.n += len(p)
	return len(p)
}

// pop takes the oldest bytes into p, and says how many.
func (r *ring) pop(p []byte) int {
	n := r.peek(p)
	r.drop(n)
	return n
}

func (r *ring) peek(p []byte) int {
	p = p[:min(len(p), r.n)]
	first := copy(p, r.buf[r.head:])
	copy(p[first:], r.buf)
	return len(p)
}

// drop wants at least n bytes.
func (r *ring) drop(n int) {
	r.head = (r.head + n) % len(r.buf)
	r.n -= n
}

// bytes is a copy of the content, nil if empty.
func (r *ring) bytes() []byte {
	if r.n == 0 {
		return nil
	}
	p := make([]byte, r.n)
	r.peek(p)
	return p
}
