package blk

import (
	"encoding/binary"
	"fmt"
	"math/bits"

	"github.com/husk-vm/husk/virtio"
)

// Feature bits in the order of [VIRTIO §5.2.3].
const (
	featSegMax      virtio.Features = 1 << 2  // VIRTIO_BLK_F_SEG_MAX
	featRO          virtio.Features = 1 << 5  // VIRTIO_BLK_F_RO
	featBlkSize     virtio.Features = 1 << 6  // VIRTIO_BLK_F_BLK_SIZE
	featFlush       virtio.Features = 1 << 9  // VIRTIO_BLK_F_FLUSH
	featTopology    virtio.Features = 1 << 10 // VIRTIO_BLK_F_TOPOLOGY
	featConfigWCE   virtio.Features = 1 << 11 // VIRTIO_BLK_F_CONFIG_WCE
	featMQ          virtio.Features = 1 << 12 // VIRTIO_BLK_F_MQ
	featDiscard     virtio.Features = 1 << 13 // VIRTIO_BLK_F_DISCARD
	featWriteZeroes virtio.Features = 1 << 14 // VIRTIO_BLK_F_WRITE_ZEROES
)

const (
	// maxSegments bounds the segments of a discard or write-zeroes request: they are copied into a worker's scratch space.
	maxSegments = 16
	// maxDiscardSectors bounds a discard segment to 2 GiB, so that one request cannot hold its queue for long: giving back
	// storage takes well under a second for so much.
	maxDiscardSectors = 2 << 30 / SectorBytes
	// maxZeroSectors bounds a write-zeroes segment to 128 MiB: a back end may have to write them all.
	maxZeroSectors = 128 << 20 / SectorBytes
	// maxQueues bounds the workers; a guest has one queue a vCPU at most, and Linux uses no more than it has vCPUs.
	maxQueues = 64
)

// Config describes a disk. The zero value of a field means its default.
type Config struct {
	Backend  Backend
	ReadOnly bool   // writes, discards and write-zeroes fail; the guest sees a read-only disk
	ID       string // what the guest shows as the serial number, up to 20 bytes; default empty
	Queues   int    // request queues, 1..64; default 1
	// QueueSize is the greatest number of descriptors in each queue, a power of two, 4..32768; default 256.
	QueueSize uint16
	// BlockBytes is the logical block size, a power of two, 512..4096; default 512. It is what the guest's file systems
	// and partitions align to; the device takes any whole sectors.
	BlockBytes uint32
	// PhysicalBlockBytes is the size that writes best come in, a power of two from BlockBytes to 1 MiB; default 4096.
	PhysicalBlockBytes uint32
}

// withDefaults returns a checked c with every field filled in.
func (c Config) withDefaults() (Config, error) {
	if c.Queues == 0 {
		c.Queues = 1
	}
	if c.QueueSize == 0 {
		c.QueueSize = 256
	}
	if c.BlockBytes == 0 {
		c.BlockBytes = SectorBytes
	}
	if c.PhysicalBlockBytes == 0 {
		c.PhysicalBlockBytes = max(4096, c.BlockBytes)
	}
	power := func(v uint32) bool { return bits.OnesCount32(v) == 1 }
	switch {
	case c.Backend == nil:
		return c, fmt.Errorf("blk: config: no back end")
	case len(c.ID) > idBytes:
		return c, fmt.Errorf("blk: config: id %q: more than %d bytes", c.ID, idBytes)
	case c.Queues < 1 || c.Queues > maxQueues:
		return c, fmt.Errorf("blk: config: %d queues: not 1..%d", c.Queues, maxQueues)
	case !power(uint32(c.QueueSize)) || c.QueueSize < 4 || c.QueueSize > 32768:
		return c, fmt.Errorf("blk: config: queue size %d: not a power of two from 4 to 32768", c.QueueSize)
	case !power(c.BlockBytes) || c.BlockBytes < SectorBytes || c.BlockBytes > 4096:
		return c, fmt.Errorf("blk: config: block size %d: not a power of two from 512 to 4096", c.BlockBytes)
	case !power(c.PhysicalBlockBytes) || c.PhysicalBlockBytes < c.BlockBytes || c.PhysicalBlockBytes > 1<<20:
		return c, fmt.Errorf("blk: config: physical block size %d: not a power of two from %d to 1 MiB", c.PhysicalBlockBytes, c.BlockBytes)
	}
	return c, nil
}

// offWriteback is the only field of the configuration space that a driver may write [VIRTIO §5.2.4].
const offWriteback = 32

// space is struct virtio_blk_config up to write_zeroes_may_unmap and its padding [VIRTIO §5.2.4]. Fields whose feature is
// not offered stay zero.
type space [60]byte

// configSpace encodes the configuration space as it is now.
func (d *Device) configSpace() (s space) {
	le := binary.LittleEndian
	le.PutUint64(s[0:], d.capacity.Load())
	// A request also takes a descriptor for its header and one for its status, and a chain, even an indirect one, is no
	// longer than the queue [VIRTIO §2.7.5.3.1].
	le.PutUint32(s[12:], uint32(d.config.QueueSize)-2) // seg_max
	le.PutUint32(s[20:], d.config.BlockBytes)          // blk_size
	perPhysical := d.config.PhysicalBlockBytes / d.config.BlockBytes
	s[24] = uint8(bits.TrailingZeros32(perPhysical)) // topology.physical_block_exp
	le.PutUint16(s[26:], uint16(perPhysical))        // topology.min_io_size, in blocks
	if d.writeBack.Load() {
		s[offWriteback] = 1
	}
	le.PutUint16(s[34:], uint16(d.config.Queues)) // num_queues
	if d.features.Has(featDiscard) {
		le.PutUint32(s[36:], maxDiscardSectors)                       // max_discard_sectors
		le.PutUint32(s[40:], maxSegments)                             // max_discard_seg
		le.PutUint32(s[44:], d.config.PhysicalBlockBytes/SectorBytes) // discard_sector_alignment
	}
	if d.features.Has(featWriteZeroes) {
		le.PutUint32(s[48:], maxZeroSectors) // max_write_zeroes_sectors
		le.PutUint32(s[52:], maxSegments)    // max_write_zeroes_seg
		s[56] = 1                            // write_zeroes_may_unmap
	}
	return s
}
