package virtio

import (
	"encoding/binary"
	"math/bits"

	"github.com/husk-vm/husk/internal/guestmem"
)

// MaxQueueSize is the greatest size of a split virtqueue, in descriptors [VIRTIO §2.7].
const MaxQueueSize = 1 << 15

// A descriptor is one entry of a descriptor table, copied out of guest memory [VIRTIO §2.7.5]:
//
//	0        8     12      14     16
//	+--------+------+-------+------+
//	|  addr  | len  | flags | next |
//	+--------+------+-------+------+
type descriptor [descSize]byte

const descSize = 16

func (d *descriptor) addr() guestmem.GPA { return guestmem.GPA(binary.LittleEndian.Uint64(d[0:])) }
func (d *descriptor) len() uint32        { return binary.LittleEndian.Uint32(d[8:]) }
func (d *descriptor) flags() descFlags   { return descFlags(binary.LittleEndian.Uint16(d[12:])) }
func (d *descriptor) next() uint16       { return binary.LittleEndian.Uint16(d[14:]) }

type descFlags uint16

const (
	descNext     descFlags = 1 // VIRTQ_DESC_F_NEXT
	descWrite    descFlags = 2 // VIRTQ_DESC_F_WRITE
	descIndirect descFlags = 4 // VIRTQ_DESC_F_INDIRECT
)

func (f descFlags) has(b descFlags) bool { return f&b != 0 }

// The available ring: flags, idx, one 16-bit entry a descriptor, used_event [VIRTIO §2.7.6].
// The used ring: flags, idx, one 8-byte entry a descriptor, avail_event [VIRTIO §2.7.8].
const (
	ringFlags   = 0
	ringIdx     = 2
	ringEntries = 4

	availNoInterrupt = 1 // VIRTQ_AVAIL_F_NO_INTERRUPT
	usedNoNotify     = 1 // VIRTQ_USED_F_NO_NOTIFY
)

func descBytes(size uint16) uint64     { return descSize * uint64(size) }
func usedEventOff(size uint16) uint64  { return ringEntries + 2*uint64(size) }
func availBytes(size uint16) uint64    { return usedEventOff(size) + 2 }
func availEventOff(size uint16) uint64 { return ringEntries + 8*uint64(size) }
func usedBytes(size uint16) uint64     { return availEventOff(size) + 2 }

// validSize reports whether n is a size a split virtqueue may have.
func validSize(n uint16) bool { return bits.OnesCount16(n) == 1 && n <= MaxQueueSize }

// ringRange checks one part of a ring once and for all: its place, its length, its alignment [VIRTIO §2.7].
func ringRange(mem *guestmem.Memory, part string, a guestmem.GPA, n uint64, align guestmem.GPA) (guestmem.Range, error) {
	if a%align != 0 {
		return guestmem.Range{}, guestErrorf("queue set-up", "%s at %#x: not a multiple of %d", part, a, align)
	}
	r, err := mem.Range(a, n)
	if err != nil {
		return guestmem.Range{}, guestErrorf("queue set-up", "%s at %#x: %v", part, a, err)
	}
	return r, nil
}
