package shim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"time"

	"github.com/husk-vm/husk/guest/client"
	"github.com/husk-vm/husk/internal/instance"
)

// exec runs the command in the guest, with this process's standard files.
func (r *runner) exec(ctx context.Context) error {
	e := r.spec.Exec
	name, dir := e.Argv[0], e.Dir
	if e.HostProgram {
		r.progress("copying the program")
		var err error
		if name, dir, err = r.copyProgram(ctx, e); err != nil {
			return err
		}
	}
	// The command is not bound to ctx: when the run is stopped the VM goes, and the command with it.
	cmd := r.guest.Agent.Command(name, e.Argv[1:]...)
	cmd.Env, cmd.Dir = e.Env, dir
	if e.User != 0 {
		cmd.User = &client.User{UID: e.User, GID: e.User}
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	if e.TTY {
		cmd.TTY, cmd.Size = true, client.Size{Cols: e.Cols, Rows: e.Rows}
		if e.Term != "" {
			cmd.Env = append(cmd.Env, "TERM="+e.Term)
		}
	}
	if err := cmd.Start(); err != nil {
		return r.execFailure(err)
	}
	r.running()
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	r.release()
	for {
		select {
		case err := <-done:
			return r.execFailure(err)
		case req := <-r.requests:
			r.pass(cmd.Process, req)
		case <-r.guest.Done():
			// The agent's connection ends too; its error would hide what happened.
			return r.guest.Ended()
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// pass hands a signal or a new terminal size to the command. One that is gone needs neither.
func (r *runner) pass(p *client.Process, req instance.Request) {
	var err error
	switch {
	case req.Signal != 0:
		err = p.Signal(client.Signal(req.Signal))
	case req.Resize != nil:
		err = p.Resize(client.Size{Cols: req.Resize.Cols, Rows: req.Resize.Rows})
	}
	if err != nil {
		r.log.Debug("pass on to command", "err", err)
	}
}

// execFailure notes the command's exit code; an end of the command's own doing is no failure of the run.
func (r *runner) execFailure(err error) error {
	r.code = client.ExitCode(err)
	var exit *client.ExitError
	switch {
	case err == nil || errors.As(err, &exit):
		return nil
	case r.code == instance.ExitNotFound || r.code == instance.ExitNotExecutable:
		return &codeError{r.code, err}
	}
	// A guest that powers off resets its devices first: the connection's end may be the guest's.
	select {
	case <-r.guest.Done():
		return r.guest.Ended()
	case <-time.After(endGrace):
		return err
	}
}

// endGrace is how long a guest may take from losing its connections to its end.
const endGrace = 5 * time.Second

// codeError is a failure with an exit code of its own.
type codeError struct {
	code int
	err  error
}

func (e *codeError) Error() string { return e.err.Error() }
func (e *codeError) Unwrap() error { return e.err }

// maxProgram bounds what --exec copies into the guest, whose file system is its memory.
const maxProgram = 1 << 30

// copyProgram copies a program of the host, and the testdata beside its working directory, into the guest. It returns
// where they are: the guest's working directory has the host's path, so that paths in messages match.
func (r *runner) copyProgram(ctx context.Context, e *instance.ExecSpec) (name, dir string, err error) {
	program := e.Argv[0]
	if !filepath.IsAbs(program) {
		program = filepath.Join(e.HostDir, program)
	}
	f, err := os.Open(program)
	if err != nil {
		return "", "", fmt.Errorf("--exec: %w", err)
	}
	defer f.Close()
	st, err := f.Stat()
	switch {
	case err != nil:
		return "", "", fmt.Errorf("--exec: %w", err)
	case !st.Mode().IsRegular():
		return "", "", fmt.Errorf("--exec %s: not a regular file", program)
	case st.Size() > maxProgram:
		return "", "", fmt.Errorf("--exec %s: %d bytes: at most %d can be copied", program, st.Size(), maxProgram)
	}
	dir = e.Dir
	if dir == "" {
		dir = filepath.ToSlash(e.HostDir)
	}
	name = path.Join("/tmp/husk-exec", filepath.Base(program))
	if err := r.guest.Agent.Put(ctx, name, 0o755, io.Reader(f)); err != nil {
		return "", "", err
	}
	data := filepath.Join(e.HostDir, "testdata")
	if _, err := os.Stat(data); err == nil {
		err = r.guest.Agent.PutTree(ctx, data, path.Join(dir, "testdata"))
		if err != nil {
			return "", "", err
		}
		return name, dir, nil
	}
	return name, dir, r.makeDir(ctx, dir)
}

// makeDir makes a directory in the guest.
func (r *runner) makeDir(ctx context.Context, dir string) error {
	out, err := r.guest.Agent.CommandContext(ctx, "mkdir", "-p", dir).CombinedOutput()
	if err != nil {
		return fmt.Errorf("make %s in the guest: %w: %s", dir, err, out)
	}
	return nil
}
