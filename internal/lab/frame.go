package lab

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// frameType says what a frame carries. The direction is fixed by the type.
type frameType uint8

const (
	// Client to machine.
	frameRequest  frameType = 1 // JSON of request: start a command
	frameStdin    frameType = 2 // bytes for the command's standard input, within the credit
	frameStdinEOF frameType = 3 // no more input
	frameSignal   frameType = 4 // one byte: the signal's number, for the command's process group
	frameAbort    frameType = 5 // the client is gone: kill the command

	// Machine to client.
	frameStdout frameType = 16 // bytes
	frameStderr frameType = 17 // bytes
	frameCredit frameType = 18 // uint32: so many more bytes of input are welcome
	frameExit   frameType = 19 // JSON of exit: the command is over; the last frame of a command

	// Machine to supervisor, once per port, and supervisor to client, once per connection.
	frameReady frameType = 32 // the other side is there
	frameFail  frameType = 33 // text: the machine did not start, or died
)

const (
	// frameHeaderSize is the size of a header: type, then the payload's length as a little-endian uint32.
	frameHeaderSize = 5
	// maxChunk bounds what one stream frame carries: larger gains nothing, as QEMU moves 32 KiB at a time.
	maxChunk = 32 << 10
	// maxFrame bounds a payload. A request carries arguments and environment, which Linux bounds at 2 MiB by
	// default (a quarter of the 8 MiB stack limit); JSON may escape some of it.
	maxFrame = 4 << 20
	// stdinWindow is how much input may be on its way to a command that is not reading it.
	stdinWindow = 256 << 10
)

// errFrame reports bytes that are no frame.
var errFrame = errors.New("malformed frame")

// valid reports whether t is a type of this protocol.
func (t frameType) valid() bool {
	return t >= frameRequest && t <= frameAbort || t >= frameStdout && t <= frameExit || t == frameReady || t == frameFail
}

// A frame is one message.
//
//	0      1              5
//	┌──────┬──────────────┬─────────────
//	│ type │ length (LE)  │ payload …
//	└──────┴──────────────┴─────────────
type frame struct {
	typ     frameType
	payload []byte
}

// readFrame reads one frame. An end of the stream between frames is io.EOF, inside one io.ErrUnexpectedEOF.
func readFrame(r io.Reader) (frame, error) {
	var h [frameHeaderSize]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return frame{}, err
	}
	t, n := frameType(h[0]), binary.LittleEndian.Uint32(h[1:])
	if !t.valid() || n > maxFrame {
		return frame{}, fmt.Errorf("lab: read frame: %w: type %d, length %d", errFrame, t, n)
	}
	f := frame{typ: t}
	if n > 0 {
		f.payload = make([]byte, n)
		if _, err := io.ReadFull(r, f.payload); err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return frame{}, err
		}
	}
	return f, nil
}

// writeFrame writes one frame with a single Write, so that writers which serialise Write calls need no more.
func writeFrame(w io.Writer, t frameType, payload []byte) error {
	if len(payload) > maxFrame {
		return fmt.Errorf("lab: write frame: %d bytes, at most %d", len(payload), maxFrame)
	}
	b := make([]byte, frameHeaderSize+len(payload))
	b[0] = byte(t)
	binary.LittleEndian.PutUint32(b[1:], uint32(len(payload)))
	copy(b[frameHeaderSize:], payload)
	_, err := w.Write(b)
	return err
}

// creditPayload encodes a credit of n bytes.
func creditPayload(n int) []byte { return binary.LittleEndian.AppendUint32(nil, uint32(n)) }

// credit decodes a credit. More than the window is nonsense.
func (f frame) credit() (int, error) {
	if len(f.payload) != 4 {
		return 0, fmt.Errorf("lab: credit: %w: %d bytes", errFrame, len(f.payload))
	}
	n := binary.LittleEndian.Uint32(f.payload)
	if n > stdinWindow {
		return 0, fmt.Errorf("lab: credit: %w: %d bytes, the window is %d", errFrame, n, stdinWindow)
	}
	return int(n), nil
}

// A request asks for one command.
type request struct {
	Args     []string // the command and its arguments; Args[0] is looked up in the PATH of Env
	Env      []string // its whole environment, "name=value"
	Dir      string   // its working directory: an absolute path of the host
	Writable []string // host directories it may write to: absolute paths
	NoStdin  bool     // standard input is /dev/null
}

// check reports what is wrong with a request.
func (r *request) check() error {
	if len(r.Args) == 0 || r.Args[0] == "" {
		return errors.New("lab: request: no command")
	}
	for _, p := range append([]string{r.Dir}, r.Writable...) {
		if len(p) == 0 || p[0] != '/' {
			return fmt.Errorf("lab: request: %q is no absolute path", p)
		}
	}
	return nil
}

// exit tells how a command ended.
type exit struct {
	Code  int    // as a shell has it: 128+n for signal n, 126 not executable, 127 not found, 125 the lab's fault
	Error string // why the command did not run, if it did not
}

// decodeJSON decodes a frame's payload into v, strictly.
func decodeJSON(payload []byte, v any) error {
	if err := json.Unmarshal(payload, v); err != nil {
		return fmt.Errorf("lab: decode %T: %w", v, err)
	}
	return nil
}

// encodeJSON encodes v, which is one of this package's plain structs.
func encodeJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic("BUG: lab: encode: " + err.Error()) // strings, slices and ints always encode
	}
	return b
}

// Exit codes of kvmlab that are not the command's, as env(1) and nohup(1) have them.
const (
	exitLab           = 125 // the lab failed
	exitNotExecutable = 126
	exitNotFound      = 127
)
