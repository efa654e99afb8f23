package kernel

import (
	_ "embed"
	"io"
	"strings"
)

// Release is what `uname -r` says in the guest.
const Release = "6.1.192-husk"

// GOARCH is the architecture of the image, in Go's words. The image is there on every host: the software CPU runs
// it on all of them.
const GOARCH = "amd64"

//go:embed bzImage
var image string // a string, so that nobody can write to it

// Image returns the kernel, an x86-64 bzImage. Every call returns a reader of its own; its ReadAt may be called
// concurrently, and Size is in bytes. The image carries an LZ4-compressed vmlinux: the header's payload_offset and
// payload_length tell where, for those who unpack it on the host [LINUX-BOOT "payload_offset"].
func Image() *io.SectionReader {
	return io.NewSectionReader(strings.NewReader(image), 0, int64(len(image)))
}
