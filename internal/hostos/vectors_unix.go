//go:build unix && !linux

package hostos

// Vectors is a list of buffers on its way to the kernel. Here every piece is a call of its own. One goroutine at a time.
type Vectors struct{}

// Preadv reads into bufs, one after the other, from off on. It returns how many bytes came; fewer than there is room
// for, without an error, means that the file ends there or that the kernel stopped early: ask again for the rest.
func (v *Vectors) Preadv(f *FD, bufs [][]byte, off int64) (int, error) {
	return eachPiece(f.Pread, bufs, off)
}

// Pwritev writes bufs, one after the other, from off on. What it returns is as for Preadv.
func (v *Vectors) Pwritev(f *FD, bufs [][]byte, off int64) (int, error) {
	return eachPiece(f.Pwrite, bufs, off)
}

// eachPiece transfers until a piece comes short. An error after the first piece is left for the next call to meet.
func eachPiece(move func([]byte, int64) (int, error), bufs [][]byte, off int64) (done int, err error) {
	for _, p := range bufs {
		n, err := move(p, off+int64(done))
		if err != nil && done == 0 {
			return 0, err
		}
		if done += n; err != nil || n < len(p) {
			break
		}
	}
	return done, nil
}
