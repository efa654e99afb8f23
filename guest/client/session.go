package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/husk-vm/husk/guest/proto"
)

// session is the connection of a started process.
type session struct {
	p      *peer
	credit *proto.Credit   // of standard input; nil: none
	queues [3]*proto.Queue // of the outputs; nil: none
	copies sync.WaitGroup  // goroutines that write to Stdout and Stderr
	over   chan struct{}   // closed when the reading loop has ended
	exit   proto.Exit      // valid once over is closed, if ended is nil
	killed atomic.Bool     // by the context
	unhook func() bool     // of the context

	inMu    sync.Mutex // one writer of standard input at a time
	inEnded bool       // guarded by inMu

	mu     sync.Mutex
	broken error // guarded by mu: why the connection failed
	copied error // guarded by mu: why output could not be written, or input read
}

func newSession(p *peer, flags proto.ExecFlags) *session {
	s := &session{p: p, over: make(chan struct{}), unhook: func() bool { return true }}
	if flags&proto.ExecNoStdin == 0 || flags&proto.ExecTTY != 0 {
		s.credit = proto.NewCredit()
	}
	if flags&proto.ExecNoStdout == 0 || flags&proto.ExecTTY != 0 {
		s.queues[proto.StreamOut] = s.newQueue(proto.StreamOut)
	}
	if flags&(proto.ExecNoStderr|proto.ExecMergeStderr|proto.ExecTTY) == 0 {
		s.queues[proto.StreamErr] = s.newQueue(proto.StreamErr)
	}
	return s
}

func (s *session) newQueue(stream uint16) *proto.Queue {
	return proto.NewQueue(func(n uint32) {
		s.p.w.Send(proto.TypeWindow, stream, proto.Grant{Bytes: n}.Append(nil)) // a lost connection is the reading loop's news
	})
}

// run starts the goroutines of a started process.
func (s *session) run(c *Cmd) {
	go s.read()
	if c.Stdin != nil {
		go s.feed(c.Stdin)
	} else if c.TTY && !c.pipe[0] {
		s.endInput() // a lost connection is the reading loop's news
	}
	for stream, w := range map[uint16]io.Writer{proto.StreamOut: c.Stdout, proto.StreamErr: c.Stderr} {
		if q := s.queues[stream]; q != nil && !c.pipe[stream] {
			if w == nil {
				w = io.Discard
			}
			s.copies.Go(func() { s.drain(q, stream, w) })
		}
	}
	delay := c.KillDelay
	if delay == 0 {
		delay = killDelay
	}
	s.unhook = context.AfterFunc(c.ctx, func() { s.kill(delay) })
}

// killDelay is the default of Cmd.KillDelay.
const killDelay = 2 * time.Second

// kill ends the process, and should the guest not obey, the connection.
func (s *session) kill(delay time.Duration) {
	s.killed.Store(true)
	t := time.AfterFunc(delay, func() { s.p.c.Close() })
	s.p.w.Send(proto.TypeSignal, 0, proto.SIGKILL.Append(nil)) // if it cannot be sent the connection is lost, and the process with it
	<-s.over
	t.Stop()
}

// stop releases what is left after the end.
func (s *session) stop() {
	s.unhook()
	s.p.c.Close()
}

// failure is what went wrong apart from the process itself: why the connection broke, and why output was not written.
func (s *session) failure() (broken, copied error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.broken, s.copied
}

// read handles the guest's frames until Exit. It never waits for a consumer.
func (s *session) read() {
	err := s.frames()
	s.mu.Lock()
	s.broken = err
	s.mu.Unlock()
	s.p.c.Close()
	end := io.EOF
	if err != nil {
		end = fmt.Errorf("guest exec: connection: %w", err)
	}
	for _, q := range s.queues {
		if q != nil {
			q.End(end)
		}
	}
	if s.credit != nil {
		s.credit.Close()
	}
	close(s.over)
}

// frames returns nil after Exit.
func (s *session) frames() error {
	for {
		f, err := s.p.r.Next()
		if err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF // no connection ends without Exit
			}
			return err
		}
		if f.Type == proto.TypeExit {
			s.exit, err = proto.DecodeExit(f.Payload)
			return err
		}
		if err := s.frame(f); err != nil {
			return fmt.Errorf("frame type %d: %w", f.Type, err)
		}
	}
}

func (s *session) frame(f proto.Frame) error {
	switch f.Type {
	case proto.TypeData, proto.TypeEOF:
		if int(f.Stream) >= len(s.queues) || s.queues[f.Stream] == nil {
			return proto.ErrBad
		}
		if f.Type == proto.TypeData {
			return s.queues[f.Stream].Push(f.Payload)
		}
		s.queues[f.Stream].End(io.EOF)
		return nil
	case proto.TypeWindow:
		g, err := proto.DecodeGrant(f.Payload)
		if err != nil || s.credit == nil || f.Stream != proto.StreamIn {
			return errors.Join(err, proto.ErrBad)
		}
		return s.credit.Grant(g)
	case proto.TypeClosed:
		if s.credit == nil || f.Stream != proto.StreamIn {
			return proto.ErrBad
		}
		s.credit.Close()
		return nil
	}
	return proto.ErrBad
}

// drain copies one output to w. When w fails the process is told, as a broken pipe.
func (s *session) drain(q *proto.Queue, stream uint16, w io.Writer) {
	buf := make([]byte, 32<<10)
	for {
		n, err := q.Read(buf)
		if n > 0 {
			k, werr := w.Write(buf[:n])
			if werr == nil && k < n {
				werr = io.ErrShortWrite
			}
			if werr != nil {
				s.fail(werr)
				s.leave(stream)
				return
			}
		}
		if err != nil {
			return // the reading loop knows whether it is an end or a break
		}
	}
}

// leave stops reading an output.
func (s *session) leave(stream uint16) {
	s.queues[stream].Leave()
	s.p.w.Send(proto.TypeClosed, stream, nil) // a lost connection is the reading loop's news
}

// feed copies r to standard input, then ends it.
func (s *session) feed(r io.Reader) {
	_, err := io.Copy(struct{ io.Writer }{stdinWriter{s}}, r)
	if err != nil && !errors.Is(err, io.ErrClosedPipe) {
		s.fail(err)
	}
	s.endInput() // a lost connection is the reading loop's news
}

func (s *session) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.copied == nil {
		s.copied = err
	}
}

type stdinWriter struct{ s *session }

func (w stdinWriter) Write(p []byte) (int, error) { return w.s.write(p) }

// write sends p to standard input. When the process has closed it, or ended, it returns io.ErrClosedPipe.
func (s *session) write(p []byte) (int, error) {
	s.inMu.Lock()
	defer s.inMu.Unlock()
	done := 0
	for done < len(p) {
		if s.inEnded {
			return done, io.ErrClosedPipe
		}
		n, ok := s.credit.Wait(min(len(p)-done, proto.MaxPayload))
		if !ok {
			return done, io.ErrClosedPipe
		}
		s.credit.Spend(n)
		if err := s.p.w.Send(proto.TypeData, proto.StreamIn, p[done:done+n]); err != nil {
			return done, io.ErrClosedPipe
		}
		done += n
	}
	return done, nil
}

// endInput sends the end of standard input, once.
func (s *session) endInput() error {
	s.inMu.Lock()
	defer s.inMu.Unlock()
	if s.inEnded {
		return nil
	}
	s.inEnded = true
	return s.p.w.Send(proto.TypeEOF, proto.StreamIn, nil)
}
