package hostos

import "os"

// PageSize is the size of the host's pages, in bytes.
func PageSize() int { return os.Getpagesize() }

// RAM is the host's memory, in bytes.
type RAM struct {
	Total     uint64 // all there is
	Available uint64 // what new programs can have without swapping, an estimate of the host's; Total if it gives none
}
