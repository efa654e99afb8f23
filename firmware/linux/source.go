package linux

import (
	"errors"
	"fmt"
	"io"
)

// Source is a file: bytes.Reader and io.SectionReader are Sources.
type Source interface {
	io.ReaderAt
	// Size is the file's length in bytes.
	Size() int64
}

// sizeOf returns src's size, or an error when there is nothing in it.
func sizeOf(src Source, what string) (uint64, error) {
	n := src.Size()
	if n <= 0 {
		return 0, &TruncatedError{What: what, Size: 0, Need: 1}
	}
	return uint64(n), nil
}

// readFull fills p from off. A file that ends before that gives a TruncatedError for what.
func readFull(src io.ReaderAt, what string, p []byte, off uint64) error {
	n, err := src.ReadAt(p, int64(off))
	switch {
	case n == len(p):
		return nil
	case err == nil, errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return &TruncatedError{What: what, Size: off + uint64(max(n, 0)), Need: off + uint64(len(p))}
	default:
		return fmt.Errorf("linux: read %s at %d: %w", what, off, err)
	}
}

// probeEnd reads the last of size bytes: a Size that promises more than there is would else be found out only while
// guest memory is being filled.
func probeEnd(src io.ReaderAt, what string, size uint64) error {
	var b [1]byte
	return readFull(src, what, b[:], size-1)
}
