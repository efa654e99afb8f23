package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"

	"github.com/husk-vm/husk/internal/hostos"
	"github.com/husk-vm/husk/internal/instance"
)

// vmProcess is a `husk vm` child: the process that runs a VM. It ends when its control socket does, so that a husk that
// is killed leaves nothing behind.
type vmProcess struct {
	cmd  *exec.Cmd
	sock *os.File
	link *instance.Link
}

// startVMProcess starts the child with the given standard files.
func startVMProcess(env Env) (*vmProcess, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find own program: %w", err)
	}
	ours, theirs, err := hostos.SocketPair()
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	defer theirs.Close()
	cmd := exec.Command(self, "vm", "--control", "3")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = env.Stdin, env.Stdout, env.Stderr
	cmd.ExtraFiles = []*os.File{theirs}
	if err := cmd.Start(); err != nil {
		ours.Close()
		return nil, fmt.Errorf("start `husk vm`: %w", err)
	}
	return &vmProcess{cmd: cmd, sock: ours, link: instance.NewLink(ours)}, nil
}

// close ends the child, if it has not ended, and waits for it.
func (p *vmProcess) close() error {
	p.sock.Close()
	return p.cmd.Wait()
}

// replies receives until the child is gone.
func (p *vmProcess) replies() <-chan instance.Reply {
	c := make(chan instance.Reply)
	go func() {
		defer close(c)
		for {
			var r instance.Reply
			if p.link.Receive(&r) != nil {
				return
			}
			c <- r
			if r.Exit != nil {
				return
			}
		}
	}()
	return c
}

// runVM runs spec in a child and returns its exit code as an error.
func runVM(ctx context.Context, env Env, spec instance.Spec) error {
	term, err := openTerminal(env, spec)
	if err != nil {
		return &exitError{instance.ExitFailure, err}
	}
	defer term.restore()
	p, err := startVMProcess(env)
	if err != nil {
		return &exitError{instance.ExitFailure, err}
	}
	r := &runner{env: env, p: p, term: term, progress: newProgress(env, spec)}
	exit := r.run(ctx, spec)
	waitErr := p.close()
	r.progress.done()
	term.restore()
	if exit == nil {
		// The child is gone without a last word: it was killed, or it crashed and said so on standard error.
		return &exitError{instance.ExitFailure, fmt.Errorf("the virtual machine's process ended unexpectedly: %w", cmpErr(waitErr, io.ErrUnexpectedEOF))}
	}
	if exit.Message != "" {
		return &exitError{exit.Code, errors.New(exit.Message)}
	}
	if exit.Code != 0 {
		return &exitError{code: exit.Code}
	}
	return nil
}

// runner is one run, seen from the terminal.
type runner struct {
	env      Env
	p        *vmProcess
	term     *terminal
	progress *progress
	running  bool // the command runs: signals are for it
	signals  int  // interrupts so far
}

// run speaks to the child until its last word, which it returns; nil if there was none.
func (r *runner) run(ctx context.Context, spec instance.Spec) *instance.Exit {
	signals, stop := notifySignals()
	defer stop()
	if r.p.link.Send(instance.Request{Run: &instance.RunRequest{Spec: spec, Terminal: r.term.saved}}) != nil {
		return nil
	}
	replies := r.p.replies()
	done := ctx.Done()
	for {
		select {
		case reply, ok := <-replies:
			switch {
			case !ok:
				return nil
			case reply.Exit != nil:
				return reply.Exit
			case reply.Running:
				r.running = true
				r.progress.done()
			case reply.Progress != "":
				r.progress.say(reply.Progress)
			}
		case sig := <-signals:
			r.signal(sig)
		case <-done:
			done = nil
			r.send(instance.Request{Stop: true})
		}
	}
}

// signal passes a signal to the command, or ends the run: before the command runs, and when an interrupt is repeated
// because the command, or the guest, does not answer.
func (r *runner) signal(sig os.Signal) {
	if isResize(sig) {
		if cols, rows, err := hostos.TerminalSize(r.env.Stdin); err == nil {
			r.send(instance.Request{Resize: &instance.Size{Cols: cols, Rows: rows}})
		}
		return
	}
	r.signals++
	if !r.running || r.signals >= 3 {
		r.send(instance.Request{Stop: true})
		return
	}
	if r.signals == 2 {
		fmt.Fprintln(r.env.Stderr, "husk: interrupt once more to end the virtual machine")
	}
	r.send(instance.Request{Signal: signalNumber(sig)})
}

// send sends a request; a child that is gone is noticed by its replies.
func (r *runner) send(req instance.Request) { _ = r.p.link.Send(req) }
