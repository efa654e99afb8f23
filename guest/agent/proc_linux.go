package agent

import (
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/husk-vm/husk/guest/proto"
)

// processes starts processes and learns how they ended.
//
// As process 1 the agent inherits every orphan, and wait4(-1) is the only way to reap those it has never heard of. So one
// reaper takes all exits and hands each to its owner; nobody else may wait, which is why this is not os/exec.
// Otherwise each process has its own waiter, and strangers are left alone.
type processes struct {
	init bool // reap everything: see reap

	mu        sync.Mutex
	live      map[int]*child     // guarded by mu: started and not reaped
	starting  int                // guarded by mu: starts under way, whose number is not known yet
	early     map[int]proto.Exit // guarded by mu: reaped during a start, so perhaps what is starting
	none      sync.Cond          // of mu: signalled when wait4 has no children left
	childless bool               // guarded by mu: true after wait4 said so, until the next start
}

func newProcesses(init bool) *processes {
	p := &processes{init: init, live: map[int]*child{}, early: map[int]proto.Exit{}}
	p.none.L = &p.mu
	return p
}

// child is a process of the host's.
type child struct {
	ps     *processes
	id     int
	ended  chan struct{}
	status proto.Exit // valid once ended is closed
}

func (c *child) pid() int              { return c.id }
func (c *child) done() <-chan struct{} { return c.ended }
func (c *child) exit() proto.Exit      { return c.status }

// signal signals the group while its leader is not reaped, so that the number still belongs to it.
func (c *child) signal(n proto.Signal) error {
	c.ps.mu.Lock()
	defer c.ps.mu.Unlock()
	if c.ps.live[c.id] != c {
		return os.ErrProcessDone
	}
	return unix.Kill(-c.id, unix.Signal(n))
}

// start starts a process in a session of its own.
func (p *processes) start(s startSpec) (*child, error) {
	attr := &syscall.ProcAttr{Dir: s.dir, Env: s.env, Sys: &syscall.SysProcAttr{Setsid: true, Setctty: s.tty}}
	for _, f := range s.files {
		attr.Files = append(attr.Files, f.Fd()) // makes our copy of their end blocking, as programs expect
	}
	if s.user {
		attr.Sys.Credential = &syscall.Credential{Uid: s.uid, Gid: s.gid, Groups: s.groups, NoSetGroups: os.Geteuid() != 0}
	}
	p.mu.Lock()
	p.starting++
	p.childless = false
	p.mu.Unlock()
	pid, err := syscall.ForkExec(s.path, s.args, attr)
	runtime.KeepAlive(s.files)

	p.mu.Lock()
	defer p.mu.Unlock()
	p.starting--
	early, gone := p.early[pid]
	if p.starting == 0 {
		clear(p.early)
	}
	if err != nil {
		return nil, &fs.PathError{Op: "exec", Path: s.path, Err: err}
	}
	c := &child{ps: p, id: pid, ended: make(chan struct{})}
	switch {
	case p.init && gone:
		c.end(early)
	case p.init:
		p.live[pid] = c
	default:
		p.live[pid] = c
		go c.wait()
	}
	return c, nil
}

// wait reaps one process, where the agent is not process 1. Peeking first keeps the number ours until live forgets it.
func (c *child) wait() {
	for {
		if err := unix.Waitid(unix.P_PID, c.id, nil, unix.WEXITED|unix.WNOWAIT, nil); err != unix.EINTR {
			break
		}
	}
	c.ps.mu.Lock()
	defer c.ps.mu.Unlock()
	var ws unix.WaitStatus
	var ru unix.Rusage
	_, err := unix.Wait4(c.id, &ws, 0, &ru)
	for err == unix.EINTR {
		_, err = unix.Wait4(c.id, &ws, 0, &ru)
	}
	delete(c.ps.live, c.id)
	if err != nil {
		panic(fmt.Sprintf("BUG: agent: wait for %d: %v: somebody else reaped it", c.id, err))
	}
	c.end(exitOf(ws, &ru))
}

func (c *child) end(e proto.Exit) {
	c.status = e
	close(c.ended)
}

// reap takes all exits there are. Process 1 calls it after each SIGCHLD, from one goroutine.
func (p *processes) reap() {
	for {
		p.mu.Lock()
		var ws unix.WaitStatus
		var ru unix.Rusage
		pid, err := unix.Wait4(-1, &ws, unix.WNOHANG, &ru)
		if err == unix.ECHILD && p.starting == 0 {
			p.childless = true
			p.none.Broadcast()
		}
		if pid > 0 {
			c := p.live[pid]
			delete(p.live, pid)
			switch {
			case c != nil:
				c.end(exitOf(ws, &ru))
			case p.starting > 0:
				p.early[pid] = exitOf(ws, &ru)
			}
		}
		p.mu.Unlock()
		if pid <= 0 && err != unix.EINTR {
			return
		}
	}
}

// waitNone waits until there are no children, at most for d. It reports whether there are none.
func (p *processes) waitNone(d time.Duration) bool {
	over := false
	t := time.AfterFunc(d, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		over = true
		p.none.Broadcast()
	})
	defer t.Stop()
	p.mu.Lock()
	defer p.mu.Unlock()
	for !p.childless && !over {
		p.none.Wait()
	}
	return p.childless
}

func exitOf(ws unix.WaitStatus, ru *unix.Rusage) proto.Exit {
	e := proto.Exit{
		User:        time.Duration(ru.Utime.Nano()),
		System:      time.Duration(ru.Stime.Nano()),
		MaxRSSBytes: uint64(ru.Maxrss) << 10, // getrusage(2): kilobytes
	}
	if ws.Signaled() {
		e.Signal, e.Core = proto.Signal(ws.Signal()), ws.CoreDump()
	} else {
		e.Code = uint8(ws.ExitStatus())
	}
	return e
}
