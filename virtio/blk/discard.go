package blk

import (
	"errors"

	"github.com/husk-vm/husk/virtio"
)

// discard carries out VIRTIO_BLK_T_DISCARD over the n bytes of segments in the chain; it returns how many bytes of disk
// they named. All segments are checked before the first takes effect.
func (w *worker) discard(c *virtio.Chain, n uint64) (status, uint64, error) {
	segs, st, total, err := w.checkSegments(c, n, maxDiscardSectors, 0)
	if err != nil || st != statusOK {
		return st, 0, err
	}
	w.q.Flush() // what follows may take long
	for ; len(segs) > 0; segs = segs[segmentBytes:] {
		s := (*segment)(segs)
		if s.sectors() == 0 {
			continue
		}
		if err := w.d.discard.Discard(int64(s.sector())*SectorBytes, int64(s.sectors())*SectorBytes); err != nil {
			return w.segmentFailed("discard", err), 0, nil
		}
	}
	return statusOK, total, nil
}

// writeZeroes carries out VIRTIO_BLK_T_WRITE_ZEROES, as discard does.
func (w *worker) writeZeroes(c *virtio.Chain, n uint64) (status, uint64, error) {
	segs, st, total, err := w.checkSegments(c, n, maxZeroSectors, flagUnmap)
	if err != nil || st != statusOK {
		return st, 0, err
	}
	w.q.Flush() // what follows may take long
	for ; len(segs) > 0; segs = segs[segmentBytes:] {
		s := (*segment)(segs)
		if s.sectors() == 0 {
			continue
		}
		off, n, unmap := int64(s.sector())*SectorBytes, int64(s.sectors())*SectorBytes, s.flags()&flagUnmap != 0
		if err := w.d.zero.WriteZeroes(off, n, unmap); err != nil {
			return w.segmentFailed("write zeroes", err), 0, nil
		}
	}
	return w.stable(statusOK), total, nil
}

// segmentFailed is backendFailed for what a back end may be unable to do; a guest then does without, or writes zeros.
func (w *worker) segmentFailed(op string, err error) status {
	st := w.backendFailed(op, err)
	if errors.Is(err, errors.ErrUnsupported) {
		st = statusUnsupp
	}
	return st
}

// checkSegments copies the n bytes of segments out of the chain and checks the copy: whole segments, not too many, none
// longer than maxSectors or beyond the capacity, and no flag but those allowed, which is "unsupported" rather than an
// error [VIRTIO §5.2.6.2].
func (w *worker) checkSegments(c *virtio.Chain, n, maxSectors uint64, allowed segmentFlags) (segs []byte, st status, total uint64, err error) {
	if n == 0 || n%segmentBytes != 0 || n > uint64(len(w.segments)) {
		return nil, statusIOErr, 0, nil
	}
	segs = w.segments[:n]
	if err := c.ReadAt(segs, headerBytes); err != nil {
		return nil, statusIOErr, 0, err
	}
	capacity := w.d.capacity.Load()
	for rest := segs; len(rest) > 0; rest = rest[segmentBytes:] {
		s := (*segment)(rest)
		if s.flags()&^allowed != 0 {
			return nil, statusUnsupp, 0, nil
		}
		length := uint64(s.sectors()) * SectorBytes
		if _, ok := span(s.sector(), length, capacity); !ok || uint64(s.sectors()) > maxSectors {
			return nil, statusIOErr, 0, nil
		}
		total += length
	}
	return segs, statusOK, total, nil
}
