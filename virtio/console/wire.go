package console

import "encoding/binary"

// Features [VIRTIO §5.3.3].
const (
	featSize       = 1 << 0 // VIRTIO_CONSOLE_F_SIZE
	featMultiport  = 1 << 1 // VIRTIO_CONSOLE_F_MULTIPORT
	featEmergWrite = 1 << 2 // VIRTIO_CONSOLE_F_EMERG_WRITE
)

// The configuration space, struct virtio_console_config [VIRTIO §5.3.4]:
//
//	0 cols u16   2 rows u16   4 max_nr_ports u32   8 emerg_wr u32
const (
	configSize   = 12
	emergWriteAt = 8
)

// control is struct virtio_console_control [VIRTIO §5.3.6.2]:
//
//	0 id u32   4 event u16   6 value u16
type control [controlSize]byte

const controlSize = 8

func (c *control) id() uint32    { return binary.LittleEndian.Uint32(c[0:]) }
func (c *control) event() event  { return event(binary.LittleEndian.Uint16(c[4:])) }
func (c *control) value() uint16 { return binary.LittleEndian.Uint16(c[6:]) }

// appendControl appends a control message's fixed part to b.
func appendControl(b []byte, id uint32, e event, value uint16) []byte {
	b = binary.LittleEndian.AppendUint32(b, id)
	b = binary.LittleEndian.AppendUint16(b, uint16(e))
	return binary.LittleEndian.AppendUint16(b, value)
}

// event says what a control message is about [VIRTIO §5.3.6.2].
type event uint16

const (
	eventDeviceReady event = 0 // VIRTIO_CONSOLE_DEVICE_READY, from the driver
	eventDeviceAdd   event = 1 // VIRTIO_CONSOLE_DEVICE_ADD
	eventPortReady   event = 3 // VIRTIO_CONSOLE_PORT_READY, from the driver
	eventConsolePort event = 4 // VIRTIO_CONSOLE_CONSOLE_PORT
	eventResize      event = 5 // VIRTIO_CONSOLE_RESIZE
	eventPortOpen    event = 6 // VIRTIO_CONSOLE_PORT_OPEN, both ways
	eventPortName    event = 7 // VIRTIO_CONSOLE_PORT_NAME
)

// maxMessage is the longest control message: a name, without a terminating NUL.
const maxMessage = controlSize + MaxName
