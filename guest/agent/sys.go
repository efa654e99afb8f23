package agent

import (
	"os"
	"time"

	"github.com/husk-vm/husk/guest/proto"
)

// sys is the operating system as the server needs it. It has more than six methods because it is all of it:
// the one place where tests put another.
type sys interface {
	// start starts a process as the leader of a new session. It does not keep the files of s.
	start(s startSpec) (process, error)
	// openTTY makes a terminal: end is for the process, master for the agent.
	openTTY(size proto.Size, uid, gid int) (master, end *os.File, err error)
	// resize changes the terminal's size.
	resize(master *os.File, size proto.Size) error
	// pending says how many bytes wait to be read from a pipe or terminal.
	pending(f *os.File) int
	// setClock steps the wall clock.
	setClock(t time.Time) error
	// info describes the guest, but for Execs.
	info() (proto.Info, error)
	// shutdown ends the guest. As process 1 it returns only if that did not work.
	shutdown(m proto.Shutdown) error
}

// startSpec is a process to be.
type startSpec struct {
	path   string // with a slash in it
	args   []string
	env    []string
	dir    string
	files  [3]*os.File
	tty    bool // files[0] becomes the controlling terminal
	user   bool // uid, gid and groups are to be set
	uid    uint32
	gid    uint32
	groups []uint32
}

// process is a started process.
type process interface {
	pid() int
	// signal sends a signal to the process group, unless the leader was already reaped: its number may be another's by now.
	signal(n proto.Signal) error
	// done is closed when the process has ended and exit is valid.
	done() <-chan struct{}
	exit() proto.Exit
}
