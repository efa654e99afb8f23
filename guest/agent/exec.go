package agent

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/husk-vm/husk/guest/proto"
)

// session is one process of the host's, and its connection.
type session struct {
	a   *Agent
	p   *peer
	tty bool

	proc   process
	in     *os.File // writes to the process's standard input; nil: none
	master *os.File // of the terminal; nil: none
	outs   []*output
	queue  *proto.Queue // standard input on its way
	wg     sync.WaitGroup
}

// output is standard output or error on its way to the host.
type output struct {
	stream uint16
	file   *os.File
	credit *proto.Credit
}

// exec runs one process, from Exec to Exit.
func (a *Agent) exec(p *peer) error {
	f, err := p.r.Next()
	if err != nil {
		return err
	}
	if f.Type != proto.TypeExec {
		return p.refuse(&proto.Error{Code: proto.CodeInvalid, Text: "exec expected"})
	}
	m, err := proto.DecodeExec(f.Payload)
	if err != nil {
		return p.refuse(wireError(err))
	}
	p.c.SetReadDeadline(time.Time{})
	<-a.ready
	if a.closing.Load() {
		return p.refuse(errClosing)
	}
	a.execs.Add(1)
	defer a.execs.Add(-1)
	s := &session{a: a, p: p, tty: m.Flags&proto.ExecTTY != 0}
	if err := s.start(m); err != nil {
		s.closeFiles()
		return p.refuse(wireError(err))
	}
	return s.run()
}

// start makes the files and starts the process.
func (s *session) start(m proto.Exec) error {
	spec, err := s.a.spec(m)
	if err != nil {
		return err
	}
	theirs, err := s.open(m, &spec)
	defer func() {
		for _, f := range theirs {
			f.Close()
		}
	}()
	if err != nil {
		return err
	}
	s.proc, err = s.a.sys.start(spec)
	return err
}

// spec decides program, environment and directory.
func (a *Agent) spec(m proto.Exec) (startSpec, error) {
	spec := startSpec{
		args: m.Args, env: mergeEnv(a.env, m.Env), dir: m.Dir, tty: m.Flags&proto.ExecTTY != 0,
		user: m.Flags&proto.ExecUser != 0, uid: m.UID, gid: m.GID, groups: m.Groups,
	}
	if m.Flags&proto.ExecReplaceEnv != 0 {
		spec.env = mergeEnv(nil, m.Env)
	}
	if spec.tty && getenv(spec.env, "TERM") == "" {
		spec.env = append(spec.env, "TERM=xterm")
	}
	if spec.dir == "" {
		spec.dir = "/"
	}
	for _, list := range [][]string{spec.args, spec.env, {spec.dir, m.Path}} {
		for _, v := range list {
			if strings.IndexByte(v, 0) >= 0 {
				return spec, &proto.Error{Code: proto.CodeInvalid, Text: "exec: a string contains a zero byte"}
			}
		}
	}
	if fi, err := os.Stat(spec.dir); err != nil {
		return spec, fmt.Errorf("working directory: %w", err)
	} else if !fi.IsDir() {
		return spec, &proto.Error{Code: proto.CodeInvalid, Text: "working directory: " + spec.dir + ": not a directory"}
	}
	name := m.Path
	if name == "" {
		name = m.Args[0]
	}
	var err error
	spec.path, err = lookPath(name, spec.dir, getenv(spec.env, "PATH"))
	return spec, err
}

// open makes the process's files: ours are kept in s, theirs returned, to be closed after the start.
func (s *session) open(m proto.Exec, spec *startSpec) (theirs []*os.File, err error) {
	if s.tty {
		uid, gid := 0, 0
		if spec.user {
			uid, gid = int(spec.uid), int(spec.gid)
		}
		master, end, err := s.a.sys.openTTY(proto.Size{Rows: m.Rows, Cols: m.Cols}, uid, gid)
		if err != nil {
			return nil, fmt.Errorf("terminal: %w", err)
		}
		s.master, s.in = master, master
		s.outs = []*output{{stream: proto.StreamOut, file: master, credit: proto.NewCredit()}}
		spec.files = [3]*os.File{end, end, end}
		return []*os.File{end}, nil
	}
	for fd, none := range []proto.ExecFlags{proto.ExecNoStdin, proto.ExecNoStdout, proto.ExecNoStderr} {
		var end *os.File
		switch {
		case fd == 2 && m.Flags&proto.ExecMergeStderr != 0:
			spec.files[2] = spec.files[1]
			continue
		case m.Flags&none != 0:
			end, err = os.OpenFile(os.DevNull, os.O_RDWR, 0)
		case fd == 0:
			end, s.in, err = os.Pipe()
		default:
			var r *os.File
			if r, end, err = os.Pipe(); err == nil {
				s.outs = append(s.outs, &output{stream: uint16(fd), file: r, credit: proto.NewCredit()})
			}
		}
		if err != nil {
			return theirs, err
		}
		theirs = append(theirs, end)
		spec.files[fd] = end
	}
	return theirs, nil
}

// run serves the started process until its connection ends.
func (s *session) run() error {
	s.queue = proto.NewQueue(func(n uint32) {
		s.p.w.Send(proto.TypeWindow, proto.StreamIn, proto.Grant{Bytes: n}.Append(nil)) // a lost connection is the reading loop's news
	})
	err := s.p.w.Send(proto.TypeStarted, 0, proto.Started{PID: uint32(s.proc.pid())}.Append(nil))
	if s.in != nil {
		s.wg.Go(s.feed)
	}
	var outs sync.WaitGroup
	for _, o := range s.outs {
		outs.Go(func() { s.pump(o) })
	}
	s.wg.Go(func() { s.finish(&outs) })
	if err == nil {
		err = s.read()
	}
	// The connection is over, and with it the process: unless it ended before.
	s.p.c.Close()                // whoever waits to write to it stops
	s.proc.signal(proto.SIGKILL) // an error says that it did
	for _, o := range s.outs {
		o.credit.Close()
	}
	s.queue.Leave()
	s.closeFiles()
	s.wg.Wait()
	return err
}

// read handles the host's frames until the connection ends. It never waits for the process.
func (s *session) read() error {
	for {
		f, err := s.p.r.Next()
		if err != nil {
			return err
		}
		if err := s.frame(f); err != nil {
			return fmt.Errorf("frame type %d: %w", f.Type, err)
		}
	}
}

func (s *session) frame(f proto.Frame) error {
	switch f.Type {
	case proto.TypeData:
		if f.Stream != proto.StreamIn || s.in == nil {
			return proto.ErrBad
		}
		return s.queue.Push(f.Payload)
	case proto.TypeEOF:
		if f.Stream != proto.StreamIn {
			return proto.ErrBad
		}
		s.queue.End(io.EOF)
		return nil
	case proto.TypeClosed:
		o, err := s.output(f.Stream)
		if err == nil {
			o.credit.Close()
			if !s.tty { // a terminal's output is also its input: it is dropped instead
				o.file.Close()
			}
		}
		return err
	case proto.TypeWindow:
		g, err := proto.DecodeGrant(f.Payload)
		if err != nil {
			return err
		}
		o, err := s.output(f.Stream)
		if err != nil {
			return err
		}
		return o.credit.Grant(g)
	case proto.TypeSignal:
		n, err := proto.DecodeSignal(f.Payload)
		if err != nil {
			return err
		}
		s.proc.signal(n) // it may have ended: Exit is on its way
		return nil
	case proto.TypeResize:
		size, err := proto.DecodeSize(f.Payload)
		if err != nil || s.master == nil {
			return errors.Join(err, proto.ErrBad)
		}
		return s.a.sys.resize(s.master, size)
	}
	return proto.ErrBad
}

func (s *session) output(stream uint16) (*output, error) {
	for _, o := range s.outs {
		if o.stream == stream {
			return o, nil
		}
	}
	return nil, proto.ErrBad
}

// feed writes what the host sends to the process's standard input.
func (s *session) feed() {
	buf := make([]byte, chunk)
	for {
		n, err := s.queue.Read(buf)
		if err != nil {
			break
		}
		if _, err := s.in.Write(buf[:n]); err != nil {
			s.queue.Leave()
			s.p.w.Send(proto.TypeClosed, proto.StreamIn, nil) // the reading loop sees a lost connection
			return
		}
	}
	if !s.tty {
		s.in.Close()
		return
	}
	s.in.Write([]byte{endOfFile}) // the terminal is gone: so is its reader
}

const (
	chunk     = 32 << 10 // bytes read from a pipe at once: half of what it holds
	endOfFile = 4        // ^D, the VEOF character of a new terminal
)

// pump sends one output until its end.
func (s *session) pump(o *output) {
	buf := make([]byte, chunk)
	left := -1 // once the process is gone and the grace is over: how many bytes there still are
	for left != 0 {
		n, ok := o.credit.Wait(len(buf))
		if !ok {
			s.drop(o, buf)
			return
		}
		if left > 0 {
			n = min(n, left)
		}
		k, err := o.file.Read(buf[:n])
		if k > 0 {
			o.credit.Spend(k)
			if s.p.w.Send(proto.TypeData, o.stream, buf[:k]) != nil {
				return
			}
			if left > 0 {
				left -= k
			}
		}
		if errors.Is(err, os.ErrDeadlineExceeded) && left < 0 {
			left = s.a.sys.pending(o.file)
			err = o.file.SetReadDeadline(time.Time{})
		}
		if err != nil {
			break // a pipe says EOF, a terminal EIO
		}
	}
	s.p.w.Send(proto.TypeEOF, o.stream, nil) // a lost connection is the reading loop's news
}

// drop empties a terminal that the host does not look at, so that its process is not stopped by a full one.
func (s *session) drop(o *output, buf []byte) {
	for s.tty {
		if _, err := o.file.Read(buf); err != nil {
			return
		}
	}
}

// finish waits for the end of the process and of its output, and tells.
func (s *session) finish(outs *sync.WaitGroup) {
	<-s.proc.done()
	for _, o := range s.outs {
		o.file.SetReadDeadline(time.Now().Add(proto.OutputGrace)) // closed already: nothing to wait for
	}
	outs.Wait()
	s.p.w.Send(proto.TypeExit, 0, s.proc.exit().Append(nil)) // a lost connection is the reading loop's news
	s.p.c.SetReadDeadline(time.Now().Add(lingerTime))        // the host closes first, or we do
}

// closeFiles closes our ends. Closing twice is harmless.
func (s *session) closeFiles() {
	if s.in != nil {
		s.in.Close()
	}
	for _, o := range s.outs {
		o.file.Close()
	}
}
