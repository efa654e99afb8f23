package guestmem

// The signatures below are the seam the other rooms build on; see doc.go.

// GPA is a guest-physical address, in bytes.
type GPA uint64

// PageSize is the granularity of dirty tracking and of the regions, in bytes.
const PageSize = 4096

// Region is one piece of guest-physical address space that is RAM.
type Region struct {
	Base GPA    // a multiple of PageSize
	Size uint64 // bytes, a multiple of PageSize, not zero
}

// Memory is the RAM of one VM. All methods may be called from any goroutine.
type Memory struct{}

// New reserves RAM for the regions, which must not overlap. The host commits pages as the guest touches them.
func New(regions []Region) (*Memory, error) { panic("seam") }

// Close waits until no lease is held and returns the RAM to the host. Every later access fails with [ErrClosed].
func (m *Memory) Close() error { panic("seam") }

// Regions returns the regions in ascending order of address.
func (m *Memory) Regions() []Region { panic("seam") }

// HostAddress returns where region i is mapped in this process, for a back end to hand to its hypervisor.
// It stays valid until Close.
func (m *Memory) HostAddress(i int) uintptr { panic("seam") }

// Range returns the n bytes from a on. They must lie in one region: a range across two regions is refused. n may be 0
// if a is inside a region or at its end. The error satisfies errors.Is(err, ErrOutside).
func (m *Memory) Range(a GPA, n uint64) (Range, error) { panic("seam") }

// Range is a checked piece of RAM. The zero value is empty.
type Range struct{}

// Addr is the address of the first byte; Len is the length in bytes.
func (r Range) Addr() GPA   { panic("seam") }
func (r Range) Len() uint64 { panic("seam") }

// Slice returns n bytes of r from off on.
func (r Range) Slice(off, n uint64) (Range, error) { panic("seam") }

// Read copies len(p) bytes out, from off on. Write copies in and marks the pages dirty.
func (r Range) Read(off uint64, p []byte) error  { panic("seam") }
func (r Range) Write(off uint64, p []byte) error { panic("seam") }

// Load16 and Load32 load a little-endian word with acquire order; Store16 and Store32 store one with release order and
// mark its page dirty. off must be a multiple of the word's size counted from the region's base, else ErrUnaligned.
func (r Range) Load16(off uint64) (uint16, error)  { panic("seam") }
func (r Range) Load32(off uint64) (uint32, error)  { panic("seam") }
func (r Range) Store16(off uint64, v uint16) error { panic("seam") }
func (r Range) Store32(off uint64, v uint32) error { panic("seam") }

// With lends r's bytes to fn under a lease: they must not be used after fn returns. If write is ReadWrite, the pages
// are marked dirty afterwards. It does not allocate.
func (r Range) With(access Access, fn func(p []byte) error) error { panic("seam") }

// Access says what the borrower of lent RAM does with it.
type Access uint8

const (
	ReadOnly Access = iota
	ReadWrite
)
