package lab

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"

	"golang.org/x/sys/unix"
)

// portWriter serialises the frames that several goroutines write to a port.
type portWriter struct {
	mu sync.Mutex
	w  io.Writer // guarded by mu
}

func (p *portWriter) send(t frameType, payload []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return writeFrame(p.w, t, payload)
}

// serveSlot runs one command after another for the host's end of port, until the port fails. newStub makes the process
// that runs a command.
func serveSlot(port io.ReadWriteCloser, newStub func() *exec.Cmd) {
	defer port.Close()
	out := &portWriter{w: port}
	frames := make(chan frame, 64)
	done := make(chan struct{})
	defer close(done)
	go func() {
		defer close(frames)
		for {
			f, err := readFrame(port)
			if err != nil {
				return
			}
			select {
			case frames <- f:
			case <-done:
				return
			}
		}
	}()
	if out.send(frameReady, nil) != nil {
		return
	}
	for f := range frames {
		if f.typ != frameRequest {
			continue // the tail of a command that ended by itself
		}
		e := runRequest(newStub(), f.payload, frames, out)
		if out.send(frameExit, encodeJSON(e)) != nil {
			return
		}
	}
}

// runRequest runs one command and relays its streams.
func runRequest(stub *exec.Cmd, payload []byte, frames <-chan frame, out *portWriter) exit {
	var req request
	err := decodeJSON(payload, &req)
	if err == nil {
		err = req.check()
	}
	if err != nil {
		return exit{Code: exitLab, Error: err.Error()}
	}
	c, err := startStub(stub, payload, req.NoStdin)
	if err != nil {
		return exit{Code: exitLab, Error: err.Error()}
	}
	var streams sync.WaitGroup
	streams.Go(func() { relay(out, frameStdout, c.stdout) })
	streams.Go(func() { relay(out, frameStderr, c.stderr) })
	var in *stdinFeeder
	if c.stdin != nil {
		in = newStdinFeeder(c.stdin, out)
	}
	finished := make(chan exit, 1)
	go func() {
		e := c.wait()
		streams.Wait() // the streams end with the last process of the name space
		finished <- e
	}()
	defer in.close()
	for {
		select {
		case e := <-finished:
			return e
		case f, ok := <-frames:
			switch {
			case !ok || f.typ == frameAbort:
				c.kill()
				if !ok {
					return <-finished
				}
			case f.typ == frameStdin:
				if err := in.feed(f.payload); err != nil {
					c.kill()
				}
			case f.typ == frameStdinEOF:
				in.end()
			case f.typ == frameSignal && len(f.payload) == 1:
				c.signal(f.payload[0])
			}
		}
	}
}

// relay copies a stream of the command into frames, until its last writer is gone.
func relay(out *portWriter, t frameType, r io.ReadCloser) {
	defer r.Close()
	buf := make([]byte, maxChunk)
	for {
		n, err := r.Read(buf)
		if n > 0 && out.send(t, buf[:n]) != nil {
			return
		}
		if err != nil {
			return
		}
	}
}

// A stubProcess is a running command's stub.
type stubProcess struct {
	cmd            *exec.Cmd
	stdin          io.WriteCloser // nil without one
	stdout, stderr io.ReadCloser
	control        *os.File // to the stub: one byte a signal; from it: JSON of exit, then end
}

// startStub starts a stub and hands it the request.
func startStub(cmd *exec.Cmd, request []byte, noStdin bool) (*stubProcess, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("lab: start stub: %w", err)
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "control"), os.NewFile(uintptr(fds[1]), "control")
	defer theirs.Close()
	p := &stubProcess{cmd: cmd, control: ours}
	if !noStdin {
		if p.stdin, err = cmd.StdinPipe(); err != nil {
			return nil, err
		}
	}
	// Pipes of our own: os/exec's would be closed by Wait before their last bytes are read.
	var far []*os.File // the stub's ends
	closeFar := func() {
		for _, f := range far {
			f.Close()
		}
	}
	defer closeFar()
	ro, wo, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("lab: start stub: %w", err)
	}
	far = append(far, wo)
	re, we, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("lab: start stub: %w", err)
	}
	far = append(far, we)
	// The request has a pipe of its own: it may be larger than a packet.
	rr, rw, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("lab: start stub: %w", err)
	}
	far = append(far, rr)
	defer rw.Close()
	cmd.Stdout, cmd.Stderr = wo, we
	p.stdout, p.stderr = ro, re
	cmd.ExtraFiles = []*os.File{theirs, rr}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("lab: start stub: %w", err)
	}
	closeFar() // or the write below would not notice that the stub is gone
	if _, err := rw.Write(request); err != nil {
		p.kill() // wait will say so
	}
	return p, nil
}

// signal passes a signal to the command's process group.
func (p *stubProcess) signal(n byte) {
	// A stub that has just ended does not mind.
	_, _ = p.control.Write([]byte{n})
}

// kill ends the stub, and with it every process of its name space.
func (p *stubProcess) kill() { _ = p.cmd.Process.Kill() }

// wait returns the command's exit once the stub is gone.
func (p *stubProcess) wait() exit {
	buf := make([]byte, 64<<10)
	n, rerr := p.control.Read(buf)
	werr := p.cmd.Wait()
	p.control.Close()
	var e exit
	if rerr == nil && n > 0 && decodeJSON(buf[:n], &e) == nil {
		return e
	}
	return exit{Code: exitLab, Error: fmt.Sprintf("lab: the command was killed (%v)", werr)}
}
