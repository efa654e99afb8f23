package power

import (
	"sync/atomic"

	"github.com/husk-vm/husk/devices"
)

// PostSize is how many ports a PostPort decodes.
const PostSize = 1

// PostPort is port 0x80, where firmware writes how far it got and kernels write to wait about a microsecond. It keeps
// the last code. Any goroutine may call any method.
type PostPort struct {
	last   atomic.Uint32
	writes atomic.Uint64
}

// NewPostPort returns a port that nobody has written to.
func NewPostPort() *PostPort { return &PostPort{} }

// Code is the byte written last, 0 if none was.
func (d *PostPort) Code() uint8 { return uint8(d.last.Load()) }

// Writes is how many codes were written.
func (d *PostPort) Writes() uint64 { return d.writes.Load() }

// Read implements devices.Device. A POST display cannot be read.
func (d *PostPort) Read(_ uint64, p []byte) {
	for i := range p {
		p[i] = 0xff
	}
}

// Write implements devices.Device.
func (d *PostPort) Write(off uint64, p []byte) {
	if off == 0 {
		d.last.Store(uint32(p[0]))
		d.writes.Add(1)
	}
}

// Reset forgets the code.
func (d *PostPort) Reset() { d.last.Store(0) }

var _ devices.Device = (*PostPort)(nil)
