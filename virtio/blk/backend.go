package blk

import "io"

// SectorBytes is the unit of every sector number and of the capacity, whatever the block size [VIRTIO §5.2.4].
const SectorBytes = 512

// Backend stores the bytes of a disk. Each queue's worker calls it, so several calls may run at once. Slices it is given
// may be guest memory, which changes at any time and dies when the call returns: it must neither keep a slice nor read a
// byte twice where that would matter.
//
// ReadAt and WriteAt follow io: fewer bytes than asked for mean an error, which the guest sees as an I/O error. A call
// that blocks holds up its queue, and [Device.Stop], for as long.
type Backend interface {
	io.ReaderAt
	io.WriterAt
	// Size is the length in bytes. What does not fill a last sector is out of the guest's reach.
	Size() int64
	// Sync makes every write that has returned survive a power cut.
	Sync() error
}

// VectorReader is an optional capability of a [Backend]: ReadvAt fills bufs in order with the bytes from off on, as one
// ReadAt of their total length would. It must not change bufs itself. Without it a request costs one ReadAt a piece.
type VectorReader interface {
	ReadvAt(bufs [][]byte, off int64) (int, error)
}

// VectorWriter is an optional capability of a [Backend]: WritevAt writes bufs in order from off on, as one WriteAt would.
// It must not change bufs.
type VectorWriter interface {
	WritevAt(bufs [][]byte, off int64) (int, error)
}

// Discarder is an optional capability of a [Backend]: Discard says that the guest no longer needs n bytes from off on.
// What they read as afterwards is the back end's choice. An error that satisfies errors.Is(err, errors.ErrUnsupported)
// tells the guest so. Both numbers are multiples of SectorBytes.
type Discarder interface {
	Discard(off, n int64) error
}

// Zeroer is an optional capability of a [Backend]: after WriteZeroes, n bytes from off on read as zeros. Only with unmap
// set may their storage be given back. Errors and units as in [Discarder].
type Zeroer interface {
	WriteZeroes(off, n int64, unmap bool) error
}
