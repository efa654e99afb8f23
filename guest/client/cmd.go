package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"
	"time"

	"github.com/husk-vm/husk/guest/proto"
	"github.com/husk-vm/husk/guest/tree"
)

// Cmd is a process in the guest, to be started once. It is shaped like exec.Cmd.
type Cmd struct {
	Path string   // program; without a slash it is sought in the guest's PATH. "" means Args[0]
	Args []string // argv
	Env  []string // added to the guest's environment
	Dir  string   // working directory; "" means "/"
	User *User    // nil: root

	CleanEnv bool // Env is the whole environment

	// As in exec.Cmd. A nil Stdin reads as empty; nil writers discard. If Stdout and Stderr are equal they share one pipe, and keep
	// their order. Unlike there, Wait does not wait for a Stdin that keeps its reader waiting.
	Stdin          io.Reader
	Stdout, Stderr io.Writer

	TTY  bool // the process gets a terminal; its output is Stdout, Stderr stays empty
	Size Size // of the terminal

	// KillDelay is how long a process may take to die when the context ends, before the connection is cut, which makes Wait return.
	// 0 means two seconds.
	KillDelay time.Duration

	Process      *Process      // set by Start
	ProcessState *ProcessState // set by Wait

	c    *Client
	ctx  context.Context
	pipe [3]bool // StdinPipe, StdoutPipe, StderrPipe was called
	s    *session
}

// User is who a process runs as.
type User struct {
	UID, GID uint32
	Groups   []uint32 // supplementary
}

// Command returns a Cmd that runs a program in the guest.
func (c *Client) Command(name string, args ...string) *Cmd {
	return c.CommandContext(context.Background(), name, args...)
}

// CommandContext is Command with a context that kills the process when it ends.
func (c *Client) CommandContext(ctx context.Context, name string, args ...string) *Cmd {
	return &Cmd{Path: name, Args: append([]string{name}, args...), c: c, ctx: ctx}
}

// Run starts the process and waits for it.
func (c *Cmd) Run() error {
	if err := c.Start(); err != nil {
		return err
	}
	return c.Wait()
}

// MaxOutput bounds what Output and CombinedOutput return, in bytes: a guest must not be able to fill the host's memory.
const MaxOutput = 64 << 20

// ErrOutput says that a process printed more than MaxOutput.
var ErrOutput = errors.New("too much output")

// keepStderr is how much of the end of standard error an ExitError carries.
const keepStderr = 32 << 10

// Output runs the command and returns its standard output.
func (c *Cmd) Output() ([]byte, error) {
	if c.Stdout != nil {
		return nil, errors.New("guest exec: Stdout already set")
	}
	var out limited
	c.Stdout = &out
	var tail *ending
	if c.Stderr == nil && !c.TTY {
		tail = new(ending)
		c.Stderr = tail
	}
	err := c.Run()
	if e, ok := errors.AsType[*ExitError](err); ok && tail != nil {
		e.Stderr = tail.b
	}
	return out.Bytes(), err
}

// CombinedOutput runs the command and returns its standard output and standard error as they came.
func (c *Cmd) CombinedOutput() ([]byte, error) {
	if c.Stdout != nil || c.Stderr != nil {
		return nil, errors.New("guest exec: Stdout or Stderr already set")
	}
	var out limited
	c.Stdout, c.Stderr = &out, &out
	err := c.Run()
	return out.Bytes(), err
}

// limited is a buffer of MaxOutput.
type limited struct{ bytes.Buffer }

func (l *limited) Write(p []byte) (int, error) {
	if len(p) > MaxOutput-l.Len() {
		return 0, ErrOutput
	}
	return l.Buffer.Write(p)
}

// ending keeps the last keepStderr bytes.
type ending struct{ b []byte }

func (e *ending) Write(p []byte) (int, error) {
	e.b = append(e.b, p[max(0, len(p)-keepStderr):]...)
	if len(e.b) > keepStderr {
		e.b = append(e.b[:0], e.b[len(e.b)-keepStderr:]...)
	}
	return len(p), nil
}

// StdinPipe returns a pipe to the process's standard input. Close ends it. Start must be called before it is written to.
func (c *Cmd) StdinPipe() (io.WriteCloser, error) {
	if c.Stdin != nil || c.s != nil || c.pipe[0] {
		return nil, errors.New("guest exec: Stdin already set, or process started")
	}
	c.pipe[0] = true
	return stdinPipe{c}, nil
}

// StdoutPipe returns a pipe from the process's standard output. It may be read after Wait too. To close it early makes
// the process meet SIGPIPE.
func (c *Cmd) StdoutPipe() (io.ReadCloser, error) {
	if c.Stdout != nil || c.s != nil || c.pipe[1] {
		return nil, errors.New("guest exec: Stdout already set, or process started")
	}
	c.pipe[1] = true
	return outPipe{c, proto.StreamOut}, nil
}

// StderrPipe is StdoutPipe for standard error.
func (c *Cmd) StderrPipe() (io.ReadCloser, error) {
	if c.Stderr != nil || c.s != nil || c.pipe[2] || c.TTY {
		return nil, errors.New("guest exec: Stderr already set, or process started, or on a terminal")
	}
	c.pipe[2] = true
	return outPipe{c, proto.StreamErr}, nil
}

// errNotStarted is what a pipe says before Start.
var errNotStarted = errors.New("guest exec: not started")

type stdinPipe struct{ c *Cmd }

func (p stdinPipe) Write(b []byte) (int, error) {
	if p.c.s == nil {
		return 0, errNotStarted
	}
	return p.c.s.write(b)
}

func (p stdinPipe) Close() error {
	if p.c.s == nil {
		return errNotStarted
	}
	return p.c.s.endInput()
}

type outPipe struct {
	c      *Cmd
	stream uint16
}

func (p outPipe) Read(b []byte) (int, error) {
	if p.c.s == nil {
		return 0, errNotStarted
	}
	return p.c.s.queues[p.stream].Read(b)
}

func (p outPipe) Close() error {
	if p.c.s == nil {
		return errNotStarted
	}
	p.c.s.leave(p.stream)
	return nil
}

// request is the message that starts c.
func (c *Cmd) request() proto.Exec {
	m := proto.Exec{Path: c.Path, Args: c.Args, Env: c.Env, Dir: c.Dir, Rows: c.Size.Rows, Cols: c.Size.Cols}
	set := func(when bool, f proto.ExecFlags) {
		if when {
			m.Flags |= f
		}
	}
	set(c.TTY, proto.ExecTTY)
	set(c.CleanEnv, proto.ExecReplaceEnv)
	set(c.Stdin == nil && !c.pipe[0], proto.ExecNoStdin)
	set(c.Stdout == nil && !c.pipe[1], proto.ExecNoStdout)
	switch {
	case c.Stderr != nil && same(c.Stdout, c.Stderr):
		m.Flags |= proto.ExecMergeStderr
	case c.Stderr == nil && !c.pipe[2]:
		m.Flags |= proto.ExecNoStderr
	}
	if c.User != nil {
		m.Flags |= proto.ExecUser
		m.UID, m.GID, m.Groups = c.User.UID, c.User.GID, c.User.Groups
	}
	return m
}

// same reports whether two writers are one. Some types cannot be compared.
func same(a, b io.Writer) bool {
	if a == nil || b == nil || !reflect.TypeOf(a).Comparable() || !reflect.TypeOf(b).Comparable() {
		return false
	}
	return a == b
}

// Start starts the process. It returns once the program runs in the guest, or why it does not.
func (c *Cmd) Start() error {
	if c.s != nil {
		return errors.New("guest exec: already started")
	}
	if len(c.Args) == 0 {
		c.Args = []string{c.Path}
	}
	if c.Path == "" {
		c.Path = c.Args[0]
	}
	if err := c.ctx.Err(); err != nil {
		return wrap("exec", c.Path, err)
	}
	m := c.request()
	payload := m.Append(nil)
	if len(payload) > proto.MaxExec || len(m.Args) > proto.MaxStrings || len(m.Env) > proto.MaxStrings {
		return wrap("exec", c.Path, fmt.Errorf("arguments and environment: %w", proto.ErrTooLong))
	}
	p, err := c.c.open(c.ctx, proto.RoleExec, proto.AppendFrame(nil, proto.TypeExec, 0, 0, payload))
	if err != nil {
		return wrap("exec", c.Path, err)
	}
	var pid uint32
	err = p.guard(c.ctx, func() error {
		pid, err = p.started()
		return err
	})
	if err != nil {
		p.c.Close()
		return wrap("exec", c.Path, err)
	}
	c.s = newSession(p, m.Flags)
	c.Process = &Process{Pid: int(pid), s: c.s}
	c.s.run(c)
	return nil
}

// started reads the agent's verdict.
func (p *peer) started() (uint32, error) {
	f, err := p.r.Next()
	if err != nil {
		return 0, err
	}
	switch f.Type {
	case proto.TypeStarted:
		m, err := proto.DecodeStarted(f.Payload)
		return m.PID, err
	case proto.TypeError:
		return 0, tree.PeerError(f.Payload)
	}
	return 0, fmt.Errorf("frame type %d for a start: %w", f.Type, proto.ErrBad)
}

// Wait waits for the process to end and for its output to be written. It returns nil for exit status 0 and *ExitError for another end.
func (c *Cmd) Wait() error {
	if c.s == nil {
		return errNotStarted
	}
	if c.ProcessState != nil {
		return errors.New("guest exec: Wait was already called")
	}
	<-c.s.over
	c.s.copies.Wait()
	c.s.stop()
	c.ProcessState = &ProcessState{pid: c.Process.Pid, exit: c.s.exit}
	err, copied := c.s.failure()
	switch {
	case err != nil:
		err = wrap("exec", c.Path, err)
	case !c.ProcessState.Success():
		err = &ExitError{ProcessState: c.ProcessState}
		if copied != nil {
			err = fmt.Errorf("%w: %w", copied, err) // SIGPIPE, perhaps: the cause comes first
		}
	default:
		err = copied
	}
	if cerr := c.ctx.Err(); cerr != nil && err != nil && c.s.killed.Load() {
		return fmt.Errorf("%w: %w", cerr, err)
	}
	return err
}
