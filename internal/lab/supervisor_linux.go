package lab

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// superviseArg is the argument that makes this binary a supervisor; fdStarted is the descriptor on which it tells its
// parent that clients may connect: one byte, or the reason why not.
const (
	superviseArg   = "supervise"
	fdStarted      = 3
	requestTimeout = 10 * time.Second // from connecting to the end of the request
)

// A supervisor owns one outer machine: it starts QEMU, hands free slots to clients, and ends the machine when it has
// been idle, has lived long enough, or is told to.
type supervisor struct {
	session session
	dir     string   // the machine's
	alive   *os.File // see holdAlive
	machine machine
	options options

	listener *net.UnixListener
	free     chan *hostPort // slots that no client has
	ready    chan struct{}  // closed once every port has answered
	failed   chan struct{}  // closed once the machine is dead or does not start; why is set before
	why      error

	mu     sync.Mutex
	active int       // clients being served; guarded by mu
	since  time.Time // of the last change of active; guarded by mu
	change chan struct{}
}

// A hostPort is our end of one slot's port.
type hostPort struct {
	conn   *os.File
	frames *bufio.Reader
}

// superviseMain is the supervisor's process. Its parent holds the session's lock until it is told that we listen.
func superviseMain(o options, s session) int {
	started := os.NewFile(fdStarted, "started")
	unix.CloseOnExec(fdStarted)
	sv, err := newSupervisor(o, s)
	if err != nil {
		fmt.Fprint(started, err)
		started.Close()
		return exitLab
	}
	if _, err := started.Write([]byte{0}); err != nil {
		fmt.Fprintln(os.Stderr, "kvmlab: the client that started this machine is gone")
	}
	started.Close()
	if err := sv.run(); err != nil {
		fmt.Fprintf(os.Stderr, "kvmlab: %v\n", err)
		return exitLab
	}
	return 0
}

// newSupervisor finds the machine's parts, makes its directory and listens. It starts nothing.
func newSupervisor(o options, s session) (*supervisor, error) {
	m, err := findMachine(o)
	if err != nil {
		return nil, err
	}
	dir := s.machineDir(os.Getpid())
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, fmt.Errorf("lab: session: %w", err)
	}
	alive, err := holdAlive(dir)
	if err != nil {
		return nil, err
	}
	log, err := os.OpenFile(filepath.Join(dir, supervisorName), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lab: session: %w", err)
	}
	defer log.Close()
	if err := unix.Dup3(int(log.Fd()), int(os.Stderr.Fd()), 0); err != nil {
		return nil, fmt.Errorf("lab: session: redirect standard error: %w", err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: s.file(socketName), Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("lab: listen: %w", err)
	}
	// The name is removed under the session's lock: by then it may be another machine's.
	l.SetUnlinkOnClose(false)
	if err := s.writeInfo(sessionInfo{Supervisor: os.Getpid(), Identity: m.identity(), Machine: m.String()}); err != nil {
		l.Close()
		return nil, err
	}
	return &supervisor{
		session: s, dir: dir, alive: alive, machine: m, options: o, listener: l,
		free: make(chan *hostPort, slots), ready: make(chan struct{}), failed: make(chan struct{}),
		since: time.Now(), change: make(chan struct{}, 1),
	}, nil
}

// run serves until the machine ends, and cleans up.
func (sv *supervisor) run() error {
	// SIGTERM is `kvmlab stop`: end now. SIGUSR1 is a client's word that it has taken the session from us: serve
	// nobody new, end with the last command.
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGTERM, unix.SIGINT)
	defer stop()
	retire := make(chan os.Signal, 1)
	signal.Notify(retire, unix.SIGUSR1)

	qemu, ports, err := sv.startQEMU()
	if err != nil {
		sv.fail(err)
	} else {
		go sv.boot(ports)
		go func() { // it ends by itself only when something is wrong
			err := qemu.Wait()
			sv.fail(fmt.Errorf("lab: the outer machine ended: %v%s", err, sv.evidence()))
		}()
	}
	var clients sync.WaitGroup
	accepting := make(chan struct{})
	go func() {
		defer close(accepting)
		for {
			c, err := sv.listener.AcceptUnix()
			if err != nil {
				return
			}
			sv.count(+1)
			clients.Go(func() {
				defer sv.count(-1)
				sv.serve(c)
			})
		}
	}()
	lock, lockErr := sv.waitForEnd(ctx, retire)
	sv.listener.Close()
	<-accepting
	if lock != nil { // the session is still ours
		lockErr = errors.Join(lockErr, sv.session.vacate())
		sv.fail(errors.New("lab: the machine was stopped"))
	}
	finished := make(chan struct{})
	go func() { clients.Wait(); close(finished) }()
	select {
	case <-finished:
	case <-ctx.Done():
	case <-sv.failed:
	}
	sv.fail(errors.New("lab: the machine was stopped"))
	if qemu != nil {
		_ = qemu.Process.Kill() // it may be gone already
	}
	<-finished
	if lock == nil {
		if lock, err = sv.session.lock(); err != nil {
			return errors.Join(lockErr, err)
		}
	}
	return errors.Join(lockErr, os.RemoveAll(sv.dir), sv.alive.Close(), sv.session.remove(), lock.Close())
}

// waitForEnd returns when it is time to end: with the session's lock, or without it if a client has taken the session.
func (sv *supervisor) waitForEnd(ctx context.Context, retire <-chan os.Signal) (*os.File, error) {
	life := time.NewTimer(sv.options.life)
	defer life.Stop()
	idle := time.NewTimer(sv.options.idle)
	defer idle.Stop()
	locked := make(chan struct{})
	var lock *os.File
	var err error
	end := func() { // waits for the lock aside: its holder may be about to retire us
		go func() {
			lock, err = sv.session.lock()
			close(locked)
		}()
	}
	failed, done, lifeC, idleC := (<-chan struct{})(sv.failed), ctx.Done(), life.C, idle.C
	for {
		select {
		case <-retire:
			return nil, nil
		case <-locked:
			return lock, err
		case <-failed:
			failed, done, lifeC, idleC = nil, nil, nil, nil
			end()
		case <-done:
			failed, done, lifeC, idleC = nil, nil, nil, nil
			end()
		case <-lifeC:
			failed, done, lifeC, idleC = nil, nil, nil, nil
			end()
		case <-sv.change:
			idle.Reset(sv.options.idle)
		case <-idleC:
			left, busy := sv.idleLeft()
			switch {
			case busy: // the end of the command is a change
			case left > 0:
				idle.Reset(left)
			default:
				// Someone who holds the lock is about to connect: stay.
				lock, err := sv.session.tryLock()
				if err != nil {
					idle.Reset(sv.options.idle)
					continue
				}
				if _, busy := sv.idleLeft(); !busy {
					return lock, nil
				}
				lock.Close()
			}
		}
	}
}

// idleLeft says how long the machine may stay idle yet, and whether it is busy.
func (sv *supervisor) idleLeft() (time.Duration, bool) {
	sv.mu.Lock()
	defer sv.mu.Unlock()
	return sv.options.idle - time.Since(sv.since), sv.active > 0
}

// count notes that a client came or went.
func (sv *supervisor) count(n int) {
	sv.mu.Lock()
	defer sv.mu.Unlock()
	sv.active += n
	sv.since = time.Now()
	select {
	case sv.change <- struct{}{}:
	default:
	}
}

// fail records why the machine is no more; the first reason counts.
func (sv *supervisor) fail(err error) {
	sv.mu.Lock()
	defer sv.mu.Unlock()
	select {
	case <-sv.failed:
	default:
		sv.why = err
		close(sv.failed)
	}
}

// evidence is what QEMU and the console said last.
func (sv *supervisor) evidence() string {
	var b strings.Builder
	if tail := consoleTail(sv.dir, 12); tail != "" {
		fmt.Fprintf(&b, "\nthe outer console's last lines:\n%s", tail)
	}
	if log, err := os.ReadFile(filepath.Join(sv.dir, supervisorName)); err == nil && len(log) > 0 {
		fmt.Fprintf(&b, "\nQEMU said:\n%s", strings.TrimSpace(string(log)))
	}
	return b.String()
}

// startQEMU starts the emulator; it dies with this process.
func (sv *supervisor) startQEMU() (*exec.Cmd, []*hostPort, error) {
	archive, err := sv.machine.initramfs()
	if err != nil {
		return nil, nil, err
	}
	if err := os.WriteFile(filepath.Join(sv.dir, initramfsName), archive, 0o600); err != nil {
		return nil, nil, fmt.Errorf("lab: initramfs: %w", err)
	}
	cmd := exec.Command(sv.machine.qemu, sv.machine.arguments(sv.dir)...)
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	cmd.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGKILL, Setpgid: true}
	var ports []*hostPort
	for range slots {
		fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return nil, nil, fmt.Errorf("lab: ports: %w", err)
		}
		if err := unix.SetNonblock(fds[0], true); err != nil {
			return nil, nil, fmt.Errorf("lab: ports: %w", err)
		}
		ours, theirs := os.NewFile(uintptr(fds[0]), "port"), os.NewFile(uintptr(fds[1]), "port")
		defer theirs.Close()
		cmd.ExtraFiles = append(cmd.ExtraFiles, theirs)
		ports = append(ports, &hostPort{conn: ours, frames: bufio.NewReaderSize(ours, 64<<10)})
	}
	// The parent-death signal follows the thread that forked: give it one that lives as long as we do.
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		started <- cmd.Start()
		select {}
	}()
	if err := <-started; err != nil {
		return nil, nil, fmt.Errorf("lab: start %s: %w", sv.machine.qemu, err)
	}
	return cmd, ports, nil
}

// boot waits for the ports to answer and puts them up for use.
func (sv *supervisor) boot(ports []*hostPort) {
	timer := time.AfterFunc(sv.options.boot, func() {
		sv.fail(fmt.Errorf("lab: the outer machine did not start within %v%s", sv.options.boot, sv.evidence()))
	})
	defer timer.Stop()
	for i, p := range ports {
		f, err := readFrame(p.frames)
		if err != nil || f.typ != frameReady {
			sv.fail(fmt.Errorf("lab: port %d of the outer machine: %v%s", i, err, sv.evidence()))
			return
		}
		sv.free <- p
	}
	close(sv.ready)
	// QEMU has read it; it is as large as this binary.
	if err := os.Remove(filepath.Join(sv.dir, initramfsName)); err != nil {
		fmt.Fprintf(os.Stderr, "kvmlab: %v\n", err)
	}
}

// serve gives one client a slot and relays frames until its command is over.
func (sv *supervisor) serve(c *net.UnixConn) {
	defer c.Close()
	in := bufio.NewReaderSize(c, 64<<10)
	// A client that only looks whether we are there says nothing.
	_ = c.SetReadDeadline(time.Now().Add(requestTimeout))
	first, err := readFrame(in)
	if err != nil || first.typ != frameRequest {
		return
	}
	_ = c.SetReadDeadline(time.Time{})
	var port *hostPort
	select {
	case <-sv.ready:
	case <-sv.failed:
		_ = writeFrame(c, frameFail, []byte(sv.why.Error()))
		return
	}
	select {
	case port = <-sv.free:
	case <-sv.failed:
		_ = writeFrame(c, frameFail, []byte(sv.why.Error()))
		return
	}
	if writeFrame(c, frameReady, nil) != nil {
		sv.free <- port
		return
	}
	if err := sv.relay(c, in, first, port); err != nil {
		_ = writeFrame(c, frameFail, []byte(err.Error())) // the client may be gone too
		return
	}
	sv.free <- port
}

// relay carries one command. An error means that the port is lost.
func (sv *supervisor) relay(c *net.UnixConn, in *bufio.Reader, first frame, port *hostPort) error {
	var fromClient sync.WaitGroup
	defer fromClient.Wait()
	defer c.CloseRead()
	fromClient.Go(func() {
		for f, err := first, error(nil); ; f, err = readFrame(in) {
			if err != nil || f.typ > frameAbort {
				f = frame{typ: frameAbort}
			}
			// A port that fails is noticed by the other direction.
			if writeFrame(port.conn, f.typ, f.payload) != nil || f.typ == frameAbort {
				return
			}
		}
	})
	type result struct {
		f   frame
		err error
	}
	back := make(chan result)
	over := make(chan struct{})
	defer close(over)
	go func() {
		for {
			f, err := readFrame(port.frames)
			select {
			case back <- result{f, err}:
			case <-over:
				return
			}
			if err != nil || f.typ == frameExit {
				return
			}
		}
	}()
	clientGone := false
	for {
		select {
		case <-sv.failed:
			port.conn.Close()
			return sv.why
		case r := <-back:
			if r.err != nil {
				select {
				case <-sv.failed: // says more
				case <-time.After(time.Second):
					sv.fail(fmt.Errorf("lab: the outer machine's port broke: %w", r.err))
				}
				return sv.why
			}
			if !clientGone && writeFrame(c, r.f.typ, r.f.payload) != nil {
				clientGone = true // its command is being killed: drain until it is gone
			}
			if r.f.typ == frameExit {
				return nil
			}
		}
	}
}
