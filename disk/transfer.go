package disk

import "io"

// maxVector is the most pieces that one system call takes: IOV_MAX of Linux, which POSIX systems share.
const maxVector = 1024

// mover moves bytes between memory and a file with calls that may stop early, as system calls do.
//
// one moves a single piece and many up to maxVector pieces; both return how many bytes they moved, in order. 0 without an
// error means that there is no more to come: the end of the file.
type mover struct {
	one  func(p []byte, off int64) (int, error)
	many func(bufs [][]byte, off int64) (int, error)
}

// full moves all of p. The error is io.EOF if the file ended first.
func (m *mover) full(p []byte, off int64) (int, error) {
	done := 0
	for done < len(p) {
		n, err := m.one(p[done:], off+int64(done))
		done += n
		if err != nil {
			return done, err
		}
		if n == 0 {
			return done, io.EOF
		}
	}
	return done, nil
}

// fullv moves all of bufs, which it does not change. A call that stops in the middle of a piece is followed by one for
// the rest of that piece alone: no bytes are moved twice, and no second vector needs to be built.
func (m *mover) fullv(bufs [][]byte, off int64) (int, error) {
	done := 0
	for len(bufs) > 0 {
		if len(bufs[0]) == 0 { // so that 0 bytes always mean the end
			bufs = bufs[1:]
			continue
		}
		n, err := m.many(bufs[:min(len(bufs), maxVector)], off+int64(done))
		done += n
		if err != nil {
			return done, err
		}
		if n == 0 {
			return done, io.EOF
		}
		for len(bufs) > 0 && n >= len(bufs[0]) {
			n -= len(bufs[0])
			bufs = bufs[1:]
		}
		if n == 0 {
			continue
		}
		n, err = m.full(bufs[0][n:], off+int64(done))
		done += n
		if err != nil {
			return done, err
		}
		bufs = bufs[1:]
	}
	return done, nil
}

// total is the length of bufs.
func total(bufs [][]byte) (n int64) {
	for _, p := range bufs {
		n += int64(len(p))
	}
	return n
}
