package lab

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// errRetry is a machine that ended between our connecting and its answer.
var errRetry = errors.New("the machine ended")

// maxStarts bounds how often a client starts over when machines end under its feet.
const maxStarts = 5

// stdio are the standard streams of a command; in is nil for none.
type stdio struct {
	in       io.Reader
	out, err io.Writer
}

// runCommand runs the command of o in the machine and returns its exit code.
func runCommand(o options, s session, std stdio) (int, error) {
	if f, ok := std.in.(*os.File); ok && isNull(f) {
		std.in = nil
	}
	req, err := newRequest(o)
	if err != nil {
		return 0, err
	}
	req.NoStdin = std.in == nil
	for range maxStarts {
		conn, err := connect(o, s)
		if err != nil {
			return 0, err
		}
		code, err := converse(conn, req, std)
		if !errors.Is(err, errRetry) {
			return code, err
		}
	}
	return 0, errors.New("lab: machines end as soon as they start; see `kvmlab -v`, and set --idle and --max higher")
}

// newRequest describes the command to the machine.
func newRequest(o options) (*request, error) {
	dir, err := os.Getwd()
	if err != nil {
		return nil, fmt.Errorf("lab: working directory: %w", err)
	}
	req := &request{Args: o.args, Env: os.Environ(), Dir: dir, Writable: o.writable}
	// The binary of a test lives in a directory where `go test` expects profiles and logs: that one is the host's.
	if exe := o.args[0]; strings.HasSuffix(exe, ".test") {
		for _, tmp := range []string{os.TempDir(), os.Getenv("GOTMPDIR")} {
			if tmp = filepath.Clean(tmp); filepath.IsAbs(tmp) && strings.HasPrefix(exe, tmp+"/go-build") {
				req.Writable = append(req.Writable, filepath.Dir(exe))
				break
			}
		}
	}
	return req, nil
}

// isNull reports whether f is /dev/null, or closed.
func isNull(f *os.File) bool {
	fi, err := f.Stat()
	if err != nil {
		return true
	}
	null, err := os.Stat(os.DevNull)
	return err == nil && os.SameFile(fi, null)
}

// connect reaches the session's supervisor, starting it if there is none.
func connect(o options, s session) (*net.UnixConn, error) {
	lock, err := s.lock()
	if err != nil {
		return nil, err
	}
	defer lock.Close()
	if c, err := dial(s); err == nil {
		fresh, err := isFresh(o, s)
		if err != nil {
			c.Close()
			return nil, err
		}
		if fresh {
			return c, nil
		}
		// Something it was made from has changed. It ends after its last command, out of our way.
		if o.verbose {
			fmt.Fprintln(os.Stderr, "kvmlab: the running machine is out of date; it ends after its last command")
		}
		err = retire(s, c)
		c.Close()
		if err != nil {
			return nil, err
		}
	}
	if err := s.clean(); err != nil {
		return nil, err
	}
	if err := startSupervisor(o, s); err != nil {
		return nil, err
	}
	return dial(s)
}

func dial(s session) (*net.UnixConn, error) {
	c, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: s.file(socketName), Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("lab: connect: %w", err)
	}
	return c, nil
}

// isFresh reports whether the running machine is the one that would be started now.
func isFresh(o options, s session) (bool, error) {
	i, err := s.info()
	if err != nil {
		return false, fmt.Errorf("lab: session: %w", err)
	}
	m, err := findMachine(o)
	if err != nil {
		return false, err
	}
	return i.Identity == m.identity(), nil
}

// startSupervisor starts the supervisor in the background and waits until it listens.
func startSupervisor(o options, s session) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("lab: start: %w", err)
	}
	defer r.Close()
	cmd := exec.Command(self)
	cmd.Args = []string{"kvmlab", superviseArg, string(encodeJSON(superviseSpec{
		Dir: s.dir, Root: o.root, Self: o.self, MemoryMiB: o.memoryMiB, SMP2: o.smp2, Idle: o.idle, Life: o.life, Boot: o.boot,
	}))}
	cmd.Dir = "/"
	cmd.Stderr = w // until it has a log
	cmd.ExtraFiles = []*os.File{w}
	cmd.SysProcAttr = &unix.SysProcAttr{Setsid: true} // the terminal's signals are for us
	err = cmd.Start()
	w.Close()
	if err != nil {
		return fmt.Errorf("lab: start supervisor: %w", err)
	}
	if o.verbose {
		fmt.Fprintf(os.Stderr, "kvmlab: starting a machine (supervisor %d)\n", cmd.Process.Pid)
	}
	answer, err := io.ReadAll(r)
	switch {
	case err != nil || len(answer) == 0:
		return fmt.Errorf("lab: the supervisor died at once: %v", errors.Join(err, cmd.Wait()))
	case answer[0] != 0:
		return errors.New(string(answer))
	}
	return cmd.Process.Release()
}

// converse runs one command over a connection: streams, signals, exit code.
func converse(conn *net.UnixConn, req *request, std stdio) (int, error) {
	defer conn.Close()
	out := &portWriter{w: conn}
	// Signals from here on are the command's. One that cannot be caught ends us, and the command with us.
	sigs := make(chan os.Signal, 8)
	signal.Notify(sigs, unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT, unix.SIGUSR1, unix.SIGUSR2)
	defer signal.Stop(sigs)
	if err := out.send(frameRequest, encodeJSON(req)); err != nil {
		return 0, errRetry
	}
	// Before the machine answers there is no command: a signal is for us.
	type reading struct {
		f   frame
		err error
	}
	frames := make(chan reading)
	done := make(chan struct{})
	defer close(done)
	go func() {
		for {
			f, err := readFrame(conn)
			select {
			case frames <- reading{f, err}:
			case <-done:
				return
			}
			if err != nil {
				return
			}
		}
	}()
	credit := newCreditor()
	defer credit.close()
	running := false
	for {
		select {
		case sig := <-sigs:
			n, _ := sig.(unix.Signal)
			if !running {
				return 128 + int(n), nil
			}
			if err := out.send(frameSignal, []byte{byte(n)}); err != nil {
				return 0, fmt.Errorf("lab: send signal: %w", err)
			}
		case r := <-frames:
			if r.err != nil {
				if !running {
					return 0, errRetry
				}
				return 0, fmt.Errorf("lab: the machine vanished: %w", r.err)
			}
			switch r.f.typ {
			case frameReady:
				running = true
				if !req.NoStdin {
					go sendStdin(std.in, out, credit)
				}
			case frameFail:
				return 0, errors.New(string(r.f.payload))
			case frameCredit:
				n, err := r.f.credit()
				if err != nil {
					return 0, err
				}
				credit.add(n)
			case frameStdout:
				if _, err := std.out.Write(r.f.payload); err != nil {
					return 0, fmt.Errorf("lab: write output: %w", err)
				}
			case frameStderr:
				if _, err := std.err.Write(r.f.payload); err != nil {
					return 0, fmt.Errorf("lab: write error output: %w", err)
				}
			case frameExit:
				var e exit
				if err := decodeJSON(r.f.payload, &e); err != nil {
					return 0, err
				}
				if e.Error != "" {
					fmt.Fprintf(std.err, "kvmlab: %s\n", strings.TrimPrefix(e.Error, "lab: "))
				}
				return e.Code, nil
			}
		}
	}
}

// sendStdin sends input as credit allows. It may outlive the command in a Read that nobody can interrupt; the process
// ends then.
func sendStdin(r io.Reader, out *portWriter, c *creditor) {
	buf := make([]byte, maxChunk)
	for {
		n := c.take(len(buf))
		if n == 0 {
			return
		}
		got, err := r.Read(buf[:n])
		c.add(n - got)
		if got > 0 && out.send(frameStdin, buf[:got]) != nil {
			return
		}
		if err != nil {
			_ = out.send(frameStdinEOF, nil) // a machine that is gone needs no end of input
			return
		}
	}
}

// A creditor counts how much input the machine welcomes.
type creditor struct {
	mu     sync.Mutex
	cond   *sync.Cond
	n      int  // guarded by mu
	closed bool // guarded by mu
}

func newCreditor() *creditor {
	c := &creditor{}
	c.cond = sync.NewCond(&c.mu)
	return c
}

// add grants n bytes.
func (c *creditor) add(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n += n
	c.cond.Broadcast()
}

// take waits for credit and returns up to limit bytes of it, or 0 once closed.
func (c *creditor) take(limit int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.n == 0 && !c.closed {
		c.cond.Wait()
	}
	if c.closed {
		return 0
	}
	n := min(c.n, limit)
	c.n -= n
	return n
}

// close ends the waiting.
func (c *creditor) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	c.cond.Broadcast()
}
