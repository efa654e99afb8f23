package shim

import (
	"bytes"
	"io"
)

// escapeByte, Ctrl-], ends a run whose console has the terminal: Ctrl-C is for the guest there.
const escapeByte = 0x1d

// escapeReader passes a terminal's input on until the escape byte comes.
type escapeReader struct {
	r       io.Reader
	escaped func() // called once, when the byte is read
}

// Read implements io.Reader.
func (e *escapeReader) Read(p []byte) (int, error) {
	n, err := e.r.Read(p)
	if i := bytes.IndexByte(p[:n], escapeByte); i >= 0 {
		e.escaped()
		return i, io.EOF
	}
	return n, err
}
