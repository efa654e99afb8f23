package proto

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
)

// Ports, addresses and bounds. A peer that exceeds a bound loses its connection.
const (
	HostCID   uint32 = 2    // VMADDR_CID_HOST, linux include/uapi/linux/vm_sockets.h
	AgentPort uint32 = 1024 // the agent listens: the first port that Linux hands out without CAP_NET_BIND_SERVICE
	ReadyPort uint32 = 1025 // the host listens: the agent dials it when it is up

	MaxPayload = 64 << 10 // bytes in a frame: as much as Linux puts into one vsock packet
	MaxExec    = 2 << 20  // bytes in an Exec frame: Linux allows 2 MiB of arguments and environment by default
	MaxStrings = 32 << 10 // arguments, or environment entries: half a million bytes of pointers
	MaxGroups  = 1 << 10  // supplementary groups; Linux allows 65536, nobody has them
	MaxPath    = 4096     // PATH_MAX, bytes in a path
	Window     = 128 << 10

	headerSize = 8
)

// Type says what a frame is.
type Type uint8

// Frame types.
const (
	TypeHello Type = 1 // both: Hello
	TypeError Type = 2 // agent: Error; it ends the request
	TypeDone  Type = 3 // agent: the request succeeded

	TypePing        Type = 16 // host
	TypeClock       Type = 17 // host: Clock
	TypeInfoRequest Type = 18 // host
	TypeInfo        Type = 19 // agent: Info
	TypeShutdown    Type = 20 // host: Shutdown

	TypeExec    Type = 32 // host: Exec
	TypeStarted Type = 33 // agent: Started
	TypeData    Type = 34 // both: bytes of the frame's stream
	TypeEOF     Type = 35 // both: the stream's sender has no more
	TypeClosed  Type = 36 // both: the stream's receiver takes no more
	TypeWindow  Type = 37 // both: Grant for the frame's stream
	TypeSignal  Type = 38 // host: Signal
	TypeResize  Type = 39 // host: Size
	TypeExit    Type = 40 // agent: Exit

	TypePut   Type = 48 // host: Place
	TypeGet   Type = 49 // host: Place
	TypeEntry Type = 50 // both: Entry
	TypeEnd   Type = 51 // both: no more entries
)

// known reports whether t is in this version of the protocol.
func (t Type) known() bool {
	switch {
	case t >= TypeHello && t <= TypeDone, t >= TypePing && t <= TypeShutdown,
		t >= TypeExec && t <= TypeExit, t >= TypePut && t <= TypeEnd:
		return true
	}
	return false
}

// bound is the largest payload of a frame of type t.
func (t Type) bound() uint32 {
	if t == TypeExec {
		return MaxExec
	}
	return MaxPayload
}

// FlagIgnorable marks a frame that a receiver may skip if it does not know its type.
const FlagIgnorable uint8 = 1 << 0

// Streams of an exec connection. Files use StreamIn.
const (
	StreamIn  uint16 = 0
	StreamOut uint16 = 1
	StreamErr uint16 = 2
)

// Errors of a conversation. They are fatal to the connection.
var (
	ErrTooLong = errors.New("frame too long")
	ErrUnknown = errors.New("unknown frame type")
	ErrVersion = errors.New("protocol version differs")
	ErrBad     = errors.New("malformed message")
	ErrWindow  = errors.New("window exceeded")
)

// Frame is one frame. Payload belongs to the Reader that returned it, until its next call of Next.
type Frame struct {
	Type    Type
	Flags   uint8
	Stream  uint16
	Payload []byte
}

// Reader reads frames. It is for one goroutine.
type Reader struct {
	r   *bufio.Reader
	buf []byte
	hdr [headerSize]byte
}

// NewReader returns a Reader of r.
func NewReader(r io.Reader) *Reader { return &Reader{r: bufio.NewReaderSize(r, 16<<10)} }

// firstBuffer is what a Reader allocates before it has seen as many bytes: a header alone buys no more.
const firstBuffer = 4 << 10

// Next returns the next frame of a known type, or an error: io.EOF only between frames.
func (r *Reader) Next() (Frame, error) {
	for {
		if _, err := io.ReadFull(r.r, r.hdr[:]); err != nil {
			if err == io.ErrUnexpectedEOF {
				err = fmt.Errorf("proto: frame header: %w", err)
			}
			return Frame{}, err
		}
		f := Frame{Type: Type(r.hdr[0]), Flags: r.hdr[1], Stream: binary.LittleEndian.Uint16(r.hdr[2:])}
		n := binary.LittleEndian.Uint32(r.hdr[4:])
		if n > f.Type.bound() {
			return Frame{}, fmt.Errorf("proto: frame type %d of %d bytes: %w", f.Type, n, ErrTooLong)
		}
		if !f.Type.known() && f.Flags&FlagIgnorable == 0 {
			return Frame{}, fmt.Errorf("proto: frame type %d: %w", f.Type, ErrUnknown)
		}
		if err := r.fill(int(n)); err != nil {
			return Frame{}, fmt.Errorf("proto: frame type %d: %w", f.Type, err)
		}
		if f.Type.known() {
			f.Payload = r.buf[:n:n]
			return f, nil
		}
	}
}

// fill reads n bytes into r.buf. It grows the buffer only as bytes arrive.
func (r *Reader) fill(n int) error {
	have := 0
	for have < n {
		if have == len(r.buf) {
			r.buf = append(r.buf, make([]byte, max(firstBuffer, len(r.buf)))...)
		}
		k, err := io.ReadFull(r.r, r.buf[have:min(n, len(r.buf))])
		have += k
		if err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
	}
	return nil
}

// Writer writes frames, each with one call of Write. It is safe for concurrent use.
type Writer struct {
	mu  sync.Mutex
	w   io.Writer // guarded by mu
	buf []byte    // guarded by mu
	err error     // guarded by mu; the first error is final
}

// NewWriter returns a Writer to w.
func NewWriter(w io.Writer) *Writer { return &Writer{w: w} }

// Send writes a frame. After an error all calls return it.
func (w *Writer) Send(t Type, stream uint16, payload []byte) error {
	return w.SendFlags(t, 0, stream, payload)
}

// SendFlags is Send with flags.
func (w *Writer) SendFlags(t Type, flags uint8, stream uint16, payload []byte) error {
	if uint64(len(payload)) > uint64(t.bound()) {
		return fmt.Errorf("proto: frame type %d of %d bytes: %w", t, len(payload), ErrTooLong)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return w.err
	}
	w.buf = AppendFrame(w.buf[:0], t, flags, stream, payload)
	_, w.err = w.w.Write(w.buf)
	return w.err
}

// Err returns the first error of writing, or nil.
func (w *Writer) Err() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// AppendFrame appends an encoded frame to b. The caller keeps to the bounds.
func AppendFrame(b []byte, t Type, flags uint8, stream uint16, payload []byte) []byte {
	b = append(b, byte(t), flags)
	b = binary.LittleEndian.AppendUint16(b, stream)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(payload)))
	return append(b, payload...)
}
