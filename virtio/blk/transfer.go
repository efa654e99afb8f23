package blk

import (
	"fmt"
	"io"

	"github.com/husk-vm/husk/virtio"
)

// in reads n bytes from the disk into the chain and says how many arrived.
func (w *worker) in(c *virtio.Chain, n uint64) (status, uint64, error) {
	off, ok := span(w.header.sector(), n, w.d.capacity.Load())
	if !ok {
		return statusIOErr, 0, nil
	}
	if n == 0 {
		return statusOK, 0, nil
	}
	w.off, w.n, w.err = off, 0, nil
	if err := c.WithWritable(0, n, w.read); err != nil {
		return statusIOErr, 0, err
	}
	return w.outcome("read", n), uint64(w.n), nil
}

// out writes n bytes of the chain to the disk.
func (w *worker) out(c *virtio.Chain, n uint64) (status, error) {
	off, ok := span(w.header.sector(), n, w.d.capacity.Load())
	if !ok || w.d.config.ReadOnly {
		return statusIOErr, nil
	}
	if n == 0 {
		return statusOK, nil
	}
	w.off, w.n, w.err = off, 0, nil
	if err := c.WithReadable(headerBytes, n, w.write); err != nil {
		return statusIOErr, err
	}
	return w.stable(w.outcome("write", n)), nil
}

// readPieces fills bufs from w.off on; the result is in w.n and w.err, so that only errors of the chain come back from
// the call that lends bufs.
func (w *worker) readPieces(bufs [][]byte) error {
	if w.d.readv != nil && len(bufs) > 1 {
		w.n, w.err = w.d.readv.ReadvAt(bufs, w.off)
		return nil
	}
	for _, p := range bufs {
		n, err := w.d.config.Backend.ReadAt(p, w.off+int64(w.n))
		if w.n += n; n < len(p) {
			w.err = err
			return nil
		}
	}
	return nil
}

// writePieces is readPieces for writes.
func (w *worker) writePieces(bufs [][]byte) error {
	if w.d.writev != nil && len(bufs) > 1 {
		w.n, w.err = w.d.writev.WritevAt(bufs, w.off)
		return nil
	}
	for _, p := range bufs {
		n, err := w.d.config.Backend.WriteAt(p, w.off+int64(w.n))
		w.n += n
		if w.err = err; err != nil || n < len(p) {
			return nil
		}
	}
	return nil
}

// outcome is the status of the transfer in w.n and w.err, which was to move n bytes. A short one failed, whatever the
// back end says: the guest would take what is in the rest of its buffer for data, or its data for stored. A read that is
// complete succeeded even with io.EOF, as io.ReaderAt allows.
func (w *worker) outcome(op string, n uint64) status {
	if w.n < 0 || uint64(w.n) > n {
		w.err = fmt.Errorf("back end moved %d of %d bytes", w.n, n)
		w.n = 0
	} else if uint64(w.n) == n && (w.err == nil || w.err == io.EOF) {
		return statusOK
	}
	if w.err == nil || w.err == io.EOF {
		w.err = io.ErrUnexpectedEOF
	}
	return w.backendFailed(op, w.err)
}

// flush makes all finished writes stable. It may take long, so what is finished goes out first.
func (w *worker) flush() status {
	w.q.Flush()
	if err := w.d.config.Backend.Sync(); err != nil {
		return w.backendFailed("flush", err)
	}
	return statusOK
}

// stable makes a write that ended with st stable before it completes, unless the driver knows how to flush and has not
// switched the write-back cache off [VIRTIO §5.2.6.2].
func (w *worker) stable(st status) status {
	through := !w.features.Has(featFlush) || w.features.Has(featConfigWCE) && !w.d.writeBack.Load()
	if st != statusOK || !through {
		return st
	}
	return w.flush()
}

// backendFailed remembers err and returns what to tell the guest. The VM lives on.
func (w *worker) backendFailed(op string, err error) status {
	w.d.stats.last.Store(&lastError{fmt.Errorf("blk: %s: %w", op, err)})
	return statusIOErr
}
