package proto

import "time"

// OutputGrace is how long the agent waits for the end of output after a process ended, if a descendant keeps it open.
const OutputGrace = 250 * time.Millisecond

// ExecFlags are properties of an Exec.
type ExecFlags uint32

// Exec flags.
const (
	ExecTTY         ExecFlags = 1 << iota // the standard files are one new terminal; its output is StreamOut
	ExecNoStdin                           // standard input is /dev/null
	ExecNoStdout                          // standard output is /dev/null
	ExecNoStderr                          // standard error is /dev/null
	ExecMergeStderr                       // standard error is the same pipe as standard output
	ExecReplaceEnv                        // Env is the whole environment, not an addition to the agent's
	ExecUser                              // UID, GID and Groups are to be set
)

// Exec asks to start a process. Exactly one follows the Hello of RoleExec.
type Exec struct {
	Flags      ExecFlags
	Path       string   // program; "" means Args[0]. Without a slash it is sought in the environment's PATH
	Args       []string // argv, at least one
	Env        []string // "name=value"
	Dir        string   // working directory; "" means "/"
	UID, GID   uint32
	Groups     []uint32
	Rows, Cols uint16 // of the terminal
}

// Append appends the message's encoding to b.
func (m Exec) Append(b []byte) []byte {
	b = appendUint32(b, uint32(m.Flags))
	b = appendString(b, m.Path)
	b = appendStrings(b, m.Args)
	b = appendStrings(b, m.Env)
	b = appendString(b, m.Dir)
	b = appendUint32(b, m.UID)
	b = appendUint32(b, m.GID)
	b = appendUint32(b, uint32(len(m.Groups)))
	for _, g := range m.Groups {
		b = appendUint32(b, g)
	}
	b = appendUint16(b, m.Rows)
	return appendUint16(b, m.Cols)
}

// DecodeExec decodes an Exec.
func DecodeExec(p []byte) (Exec, error) {
	c := cursor{p: p}
	m := Exec{Flags: ExecFlags(c.uint32()), Path: c.string(MaxPath), Args: c.strings(), Env: c.strings(), Dir: c.string(MaxPath), UID: c.uint32(), GID: c.uint32()}
	if n := c.count(MaxGroups, 4); n > 0 {
		m.Groups = make([]uint32, n)
		for i := range m.Groups {
			m.Groups[i] = c.uint32()
		}
	}
	m.Rows, m.Cols = c.uint16(), c.uint16()
	if len(m.Args) == 0 {
		c.bad = true
	}
	return m, c.err("exec")
}

// Started says that the program runs: exec succeeded.
type Started struct {
	PID uint32 // in the guest
}

// Append appends the message's encoding to b.
func (m Started) Append(b []byte) []byte { return appendUint32(b, m.PID) }

// DecodeStarted decodes a Started.
func DecodeStarted(p []byte) (Started, error) {
	c := cursor{p: p}
	m := Started{PID: c.uint32()}
	return m, c.err("started")
}

// Grant lets the peer send more bytes of a stream.
type Grant struct {
	Bytes uint32 // 1..Window
}

// Append appends the message's encoding to b.
func (m Grant) Append(b []byte) []byte { return appendUint32(b, m.Bytes) }

// DecodeGrant decodes a Grant.
func DecodeGrant(p []byte) (Grant, error) {
	c := cursor{p: p}
	m := Grant{Bytes: c.uint32()}
	if m.Bytes == 0 || m.Bytes > Window {
		c.bad = true
	}
	return m, c.err("window")
}

// Signal sends a signal to the process group. It is a Linux signal number, whatever the host is.
type Signal uint32

// Signals of Linux, as on x86 and arm64.
const (
	SIGHUP   Signal = 1
	SIGINT   Signal = 2
	SIGQUIT  Signal = 3
	SIGABRT  Signal = 6
	SIGKILL  Signal = 9
	SIGUSR1  Signal = 10
	SIGSEGV  Signal = 11
	SIGUSR2  Signal = 12
	SIGPIPE  Signal = 13
	SIGALRM  Signal = 14
	SIGTERM  Signal = 15
	SIGCONT  Signal = 18
	SIGSTOP  Signal = 19
	SIGTSTP  Signal = 20
	SIGWINCH Signal = 28

	maxSignal Signal = 64
)

// Append appends the message's encoding to b.
func (s Signal) Append(b []byte) []byte { return appendUint32(b, uint32(s)) }

// DecodeSignal decodes a Signal: 1..64.
func DecodeSignal(p []byte) (Signal, error) {
	c := cursor{p: p}
	s := Signal(c.uint32())
	if s == 0 || s > maxSignal {
		c.bad = true
	}
	return s, c.err("signal")
}

// Size is the size of a terminal, in characters.
type Size struct {
	Rows, Cols uint16
}

// Append appends the message's encoding to b.
func (m Size) Append(b []byte) []byte { return appendUint16(appendUint16(b, m.Rows), m.Cols) }

// DecodeSize decodes a Size.
func DecodeSize(p []byte) (Size, error) {
	c := cursor{p: p}
	m := Size{Rows: c.uint16(), Cols: c.uint16()}
	return m, c.err("resize")
}

// Exit is how a process ended.
type Exit struct {
	Code         uint8         // exit status, if Signal is 0
	Signal       Signal        // what killed it, or 0
	Core         bool          // it left a core image
	User, System time.Duration // CPU time of it and of the children it waited for
	MaxRSSBytes  uint64
}

// Append appends the message's encoding to b.
func (m Exit) Append(b []byte) []byte {
	var core byte
	if m.Core {
		core = 1
	}
	b = append(b, m.Code, core)
	b = appendUint32(b, uint32(m.Signal))
	b = appendUint64(b, uint64(m.User))
	b = appendUint64(b, uint64(m.System))
	return appendUint64(b, m.MaxRSSBytes)
}

// DecodeExit decodes an Exit.
func DecodeExit(p []byte) (Exit, error) {
	c := cursor{p: p}
	m := Exit{Code: c.uint8(), Core: c.uint8()&1 != 0, Signal: Signal(c.uint32())}
	m.User, m.System, m.MaxRSSBytes = time.Duration(c.uint64()), time.Duration(c.uint64()), c.uint64()
	if m.Signal > maxSignal || m.User < 0 || m.System < 0 {
		c.bad = true
	}
	return m, c.err("exit")
}
