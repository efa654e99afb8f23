package instance

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"sync"
)

// Request is a message to the process that runs a VM. Exactly one field is set. The first request is Run or Probe.
type Request struct {
	Run    *RunRequest `json:",omitempty"`
	Probe  bool        `json:",omitempty"` // answer with Probe, then end
	Signal int         `json:",omitempty"` // signal number for the command
	Resize *Size       `json:",omitempty"` // the terminal has a new size
	Stop   bool        `json:",omitempty"` // end the VM now
}

// RunRequest starts a VM. Standard input, output and error are inherited by the process that runs it.
type RunRequest struct {
	Spec Spec
	// Terminal is the state that standard input had before it was made raw, as hostos saved it; empty if it is no
	// terminal or was left alone. Should whoever sent this die, the VM's process restores it.
	Terminal []byte `json:",omitempty"`
}

// Size is a terminal's size in characters.
type Size struct{ Cols, Rows uint16 }

// Reply is a message from the process that runs a VM. Exactly one field is set. Exit and Probe are the last.
type Reply struct {
	Progress string    `json:",omitempty"` // what is going on, for a person
	Running  bool      `json:",omitempty"` // the command was started
	Exit     *Exit     `json:",omitempty"`
	Probe    []Backend `json:",omitempty"`
}

// Exit is the end of a run.
type Exit struct {
	Code int
	// Message says what went wrong, for a person; "" if nothing did. It may have several lines, the first one tells all.
	Message string `json:",omitempty"`
}

// Backend is what `husk doctor` prints of one back end.
type Backend struct {
	Name           string
	Usable         bool
	Reason, Advice string
	KernelRate     float64 // instructions a second
	UserRate       float64
	SetupSeconds   float64
	Details        []string
}

// maxMessage bounds a message on the control socket: a Spec with a large environment fits.
const maxMessage = 16 << 20

// Link sends and receives control messages, one JSON object a line. Send may be called from any goroutine, Receive
// from one.
type Link struct {
	r  *bufio.Reader
	mu sync.Mutex
	w  io.Writer // guarded by mu
}

// NewLink makes a Link over a stream socket.
func NewLink(rw io.ReadWriter) *Link { return &Link{r: bufio.NewReader(rw), w: rw} }

// Send writes one message.
func (l *Link) Send(msg any) error {
	b, err := json.Marshal(msg)
	if err != nil {
		return fmt.Errorf("control message: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	_, err = l.w.Write(append(b, '\n'))
	return err
}

// Receive reads the next message into msg. io.EOF means that the other side is gone.
func (l *Link) Receive(msg any) error {
	var line []byte
	for {
		part, err := l.r.ReadSlice('\n')
		if len(line)+len(part) > maxMessage {
			return fmt.Errorf("control message: longer than %d bytes", maxMessage)
		}
		line = append(line, part...)
		if err == bufio.ErrBufferFull {
			continue
		}
		if err != nil {
			return err
		}
		break
	}
	if err := json.Unmarshal(line, msg); err != nil {
		return fmt.Errorf("control message: %w", err)
	}
	return nil
}
