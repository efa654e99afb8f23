package console

// ring is a bounded byte queue. Its memory comes with the first byte.
type ring struct {
	b     []byte
	limit int // bytes
	r, n  int // data is the n bytes from b[r] on, round the end
}

// free is how many bytes put takes.
func (q *ring) free() int { return q.limit - q.n }

// put appends as much of p as fits and returns how much that was.
func (q *ring) put(p []byte) int {
	p = p[:min(len(p), q.free())]
	if len(p) > 0 && q.b == nil {
		q.b = make([]byte, q.limit)
	}
	for rest := p; len(rest) > 0; {
		m := copy(q.b[(q.r+q.n)%q.limit:], rest)
		q.n += m
		rest = rest[m:]
	}
	return len(p)
}

// peek returns the first bytes that lie in one piece. They stay as they are until skip; put does not touch them.
func (q *ring) peek() []byte {
	if q.n == 0 {
		return nil
	}
	return q.b[q.r:min(q.r+q.n, q.limit)]
}

// skip removes the first n bytes.
func (q *ring) skip(n int) {
	q.r = (q.r + n) % q.limit
	q.n -= n
}

// take moves bytes to p and returns how many.
func (q *ring) take(p []byte) int {
	n := 0
	for n < len(p) && q.n > 0 {
		m := copy(p[n:], q.peek())
		q.skip(m)
		n += m
	}
	return n
}
