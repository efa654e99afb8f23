package blk

import "encoding/binary"

// kind is the type field of a request [VIRTIO §5.2.6].
type kind uint32

const (
	kindIn          kind = 0  // VIRTIO_BLK_T_IN
	kindOut         kind = 1  // VIRTIO_BLK_T_OUT
	kindFlush       kind = 4  // VIRTIO_BLK_T_FLUSH
	kindGetID       kind = 8  // VIRTIO_BLK_T_GET_ID
	kindDiscard     kind = 11 // VIRTIO_BLK_T_DISCARD
	kindWriteZeroes kind = 13 // VIRTIO_BLK_T_WRITE_ZEROES
)

// status is the last device-writable byte of a request [VIRTIO §5.2.6].
type status uint8

const (
	statusOK     status = 0 // VIRTIO_BLK_S_OK
	statusIOErr  status = 1 // VIRTIO_BLK_S_IOERR
	statusUnsupp status = 2 // VIRTIO_BLK_S_UNSUPP
)

const (
	headerBytes  = 16
	segmentBytes = 16
	idBytes      = 20 // VIRTIO_BLK_ID_BYTES: padded with NUL, none after 20 characters [VIRTIO §5.2.6]
)

// header is struct virtio_blk_req without data and status [VIRTIO §5.2.6]:
//
//	0      4          8             16
//	| type | reserved | sector le64 |
type header [headerBytes]byte

func (h *header) kind() kind     { return kind(binary.LittleEndian.Uint32(h[0:])) }
func (h *header) sector() uint64 { return binary.LittleEndian.Uint64(h[8:]) }

// segment is struct virtio_blk_discard_write_zeroes [VIRTIO §5.2.6]:
//
//	0             8             12      16
//	| sector le64 | num_sectors | flags |
type segment [segmentBytes]byte

func (s *segment) sector() uint64      { return binary.LittleEndian.Uint64(s[0:]) }
func (s *segment) sectors() uint32     { return binary.LittleEndian.Uint32(s[8:]) }
func (s *segment) flags() segmentFlags { return segmentFlags(binary.LittleEndian.Uint32(s[12:])) }

// segmentFlags are the flags of a segment; all but the first are reserved.
type segmentFlags uint32

const flagUnmap segmentFlags = 1 << 0 // VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP

// span returns the byte offset of n bytes from sector on, or false unless they are whole sectors below capacity, which is
// in sectors and at most MaxInt64/SectorBytes. No sum is formed before the check, so nothing wraps.
func span(sector, n, capacity uint64) (off int64, ok bool) {
	if n%SectorBytes != 0 || sector > capacity || n/SectorBytes > capacity-sector {
		return 0, false
	}
	return int64(sector * SectorBytes), true
}
