package client

import (
	"fmt"
	"os"
	"time"

	"github.com/husk-vm/husk/guest/proto"
)

// Process is a running process in the guest.
type Process struct {
	Pid int // in the guest
	s   *session
}

// Signal sends a signal to the process's group. After its end it is os.ErrProcessDone.
func (p *Process) Signal(sig Signal) error {
	select {
	case <-p.s.over:
		return os.ErrProcessDone
	default:
	}
	return wrap("signal", "", p.s.p.w.Send(proto.TypeSignal, 0, sig.Append(nil)))
}

// Kill sends SIGKILL.
func (p *Process) Kill() error { return p.Signal(proto.SIGKILL) }

// Resize changes the size of the process's terminal.
func (p *Process) Resize(size Size) error {
	select {
	case <-p.s.over:
		return os.ErrProcessDone
	default:
	}
	return wrap("resize", "", p.s.p.w.Send(proto.TypeResize, 0, size.Append(nil)))
}

// ProcessState is how a process ended.
type ProcessState struct {
	pid  int
	exit proto.Exit
}

// Pid is the process's number in the guest.
func (s *ProcessState) Pid() int { return s.pid }

// ExitCode is the exit status, or -1 if a signal ended the process.
func (s *ProcessState) ExitCode() int {
	if s.exit.Signal != 0 {
		return -1
	}
	return int(s.exit.Code)
}

// Signal is what ended the process, or 0.
func (s *ProcessState) Signal() Signal { return s.exit.Signal }

// CoreDumped reports whether the process left a core image.
func (s *ProcessState) CoreDumped() bool { return s.exit.Core }

// Success reports whether the exit status is 0.
func (s *ProcessState) Success() bool { return s.exit.Signal == 0 && s.exit.Code == 0 }

// UserTime is CPU time in user mode, of the process and the children that it waited for.
func (s *ProcessState) UserTime() time.Duration { return s.exit.User }

// SystemTime is CPU time in the kernel, of the same.
func (s *ProcessState) SystemTime() time.Duration { return s.exit.System }

// MaxRSSBytes is the most memory that one of them had at once.
func (s *ProcessState) MaxRSSBytes() uint64 { return s.exit.MaxRSSBytes }

// String says it as os.ProcessState does.
func (s *ProcessState) String() string {
	if s.exit.Signal == 0 {
		return fmt.Sprintf("exit status %d", s.exit.Code)
	}
	text := "signal: " + s.exit.Signal.String()
	if s.exit.Core {
		text += " (core dumped)"
	}
	return text
}
