package vsock

import "encoding/binary"

// headerSize is the length of struct virtio_vsock_hdr in bytes [VIRTIO §5.10.6].
const headerSize = 44

// maxPayload is the most data one packet may carry, in bytes. The specification has no limit; Linux sends no more than
// VIRTIO_VSOCK_MAX_PKT_BUF_SIZE in either direction (include/linux/virtio_vsock.h).
const maxPayload = 64 << 10

// header is struct virtio_vsock_hdr, little-endian [VIRTIO §5.10.6]:
//
//	 0 src_cid u64    8 dst_cid u64    16 src_port u32   20 dst_port u32
//	24 len u32       28 type u16       30 op u16
//	32 flags u32     36 buf_alloc u32  40 fwd_cnt u32
type header [headerSize]byte

func (h *header) srcCID() uint64   { return binary.LittleEndian.Uint64(h[0:]) }
func (h *header) dstCID() uint64   { return binary.LittleEndian.Uint64(h[8:]) }
func (h *header) srcPort() uint32  { return binary.LittleEndian.Uint32(h[16:]) }
func (h *header) dstPort() uint32  { return binary.LittleEndian.Uint32(h[20:]) }
func (h *header) len() uint32      { return binary.LittleEndian.Uint32(h[24:]) }
func (h *header) typ() sockType    { return sockType(binary.LittleEndian.Uint16(h[28:])) }
func (h *header) op() op           { return op(binary.LittleEndian.Uint16(h[30:])) }
func (h *header) flags() uint32    { return binary.LittleEndian.Uint32(h[32:]) }
func (h *header) bufAlloc() uint32 { return binary.LittleEndian.Uint32(h[36:]) }
func (h *header) fwdCnt() uint32   { return binary.LittleEndian.Uint32(h[40:]) }

// fields is a header spelt out, for building one.
type fields struct {
	srcCID, dstCID   uint64
	srcPort, dstPort uint32
	len              uint32
	typ              sockType
	op               op
	flags            uint32
	bufAlloc, fwdCnt uint32
}

func (h *header) set(f fields) {
	binary.LittleEndian.PutUint64(h[0:], f.srcCID)
	binary.LittleEndian.PutUint64(h[8:], f.dstCID)
	binary.LittleEndian.PutUint32(h[16:], f.srcPort)
	binary.LittleEndian.PutUint32(h[20:], f.dstPort)
	binary.LittleEndian.PutUint32(h[24:], f.len)
	binary.LittleEndian.PutUint16(h[28:], uint16(f.typ))
	binary.LittleEndian.PutUint16(h[30:], uint16(f.op))
	binary.LittleEndian.PutUint32(h[32:], f.flags)
	binary.LittleEndian.PutUint32(h[36:], f.bufAlloc)
	binary.LittleEndian.PutUint32(h[40:], f.fwdCnt)
}

// sockType is the type of a socket [VIRTIO §5.10.6].
type sockType uint16

const (
	typeStream    sockType = 1 // VIRTIO_VSOCK_TYPE_STREAM
	typeSeqpacket sockType = 2 // VIRTIO_VSOCK_TYPE_SEQPACKET, not offered
)

// op is what a packet is for [VIRTIO §5.10.6].
type op uint16

const (
	opInvalid       op = 0 // VIRTIO_VSOCK_OP_INVALID
	opRequest       op = 1 // VIRTIO_VSOCK_OP_REQUEST
	opResponse      op = 2 // VIRTIO_VSOCK_OP_RESPONSE
	opRst           op = 3 // VIRTIO_VSOCK_OP_RST
	opShutdown      op = 4 // VIRTIO_VSOCK_OP_SHUTDOWN
	opRW            op = 5 // VIRTIO_VSOCK_OP_RW
	opCreditUpdate  op = 6 // VIRTIO_VSOCK_OP_CREDIT_UPDATE
	opCreditRequest op = 7 // VIRTIO_VSOCK_OP_CREDIT_REQUEST
)

var opNames = [...]string{"INVALID", "REQUEST", "RESPONSE", "RST", "SHUTDOWN", "RW", "CREDIT_UPDATE", "CREDIT_REQUEST"}

func (o op) String() string {
	if int(o) < len(opNames) {
		return opNames[o]
	}
	return "UNKNOWN"
}

// shutdown is the flags of a SHUTDOWN packet: hints that its sender will do something no more [VIRTIO §5.10.6.5].
type shutdown uint32

const (
	shutRcv  shutdown = 1 << 0 // VIRTIO_VSOCK_SHUTDOWN_RCV: receive
	shutSend shutdown = 1 << 1 // VIRTIO_VSOCK_SHUTDOWN_SEND: send
	shutBoth          = shutRcv | shutSend
)

func (s shutdown) has(b shutdown) bool { return s&b == b }

// eventTransportReset is VIRTIO_VSOCK_EVENT_TRANSPORT_RESET, as the four bytes of struct virtio_vsock_event
// [VIRTIO §5.10.6.7].
var eventTransportReset = [4]byte{0, 0, 0, 0}
