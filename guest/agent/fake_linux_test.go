package agent

import (
	"errors"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/husk-vm/husk/guest/proto"
)

// fakeSys starts processes that only exist here: each writes its arguments to its output and ends when its input does, or when it is killed.
type fakeSys struct {
	mu    sync.Mutex
	clock []time.Time      // guarded by mu
	down  []proto.Shutdown // guarded by mu
	fail  error            // of setClock and shutdown
	procs sync.WaitGroup
}

type fakeProc struct {
	ended chan struct{}
	kill  func()
}

func (f *fakeSys) start(s startSpec) (process, error) {
	// The fake process has copies of its files, as a real one has.
	in, err := dup(s.files[0])
	if err != nil {
		return nil, err
	}
	out, err := dup(s.files[1])
	if err != nil {
		in.Close()
		return nil, err
	}
	p := &fakeProc{ended: make(chan struct{}), kill: func() { in.Close() }}
	f.procs.Go(func() {
		defer close(p.ended)
		defer out.Close()
		defer in.Close()
		for _, a := range s.args {
			if _, err := out.WriteString(a); err != nil {
				return
			}
		}
		buf := make([]byte, 512)
		for {
			if _, err := in.Read(buf); err != nil {
				return
			}
		}
	})
	return p, nil
}

func (p *fakeProc) pid() int              { return 1 }
func (p *fakeProc) done() <-chan struct{} { return p.ended }
func (p *fakeProc) exit() proto.Exit      { return proto.Exit{Code: 7} }
func (p *fakeProc) signal(n proto.Signal) error {
	if n == proto.SIGKILL {
		p.kill()
	}
	return nil
}

func (f *fakeSys) openTTY(proto.Size, int, int) (*os.File, *os.File, error) {
	return nil, nil, errors.New("no terminals here")
}
func (f *fakeSys) resize(*os.File, proto.Size) error { return nil }
func (f *fakeSys) pending(*os.File) int              { return 0 }
func (f *fakeSys) info() (proto.Info, error)         { return proto.Info{Hostname: "fake"}, nil }

func (f *fakeSys) setClock(t time.Time) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.clock = append(f.clock, t)
	return f.fail
}

func (f *fakeSys) shutdown(m proto.Shutdown) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.down = append(f.down, m)
	return f.fail
}

// newFake returns an agent on a fake system, and a function that connects to it.
func newFake(t testing.TB) (*Agent, *fakeSys, func() net.Conn) {
	t.Helper()
	ready := make(chan struct{})
	close(ready)
	sys := &fakeSys{}
	a := newAgent(sys, nil, defaultEnv(), ready)
	return a, sys, func() net.Conn {
		host, guest := net.Pipe()
		done := make(chan struct{})
		go func() {
			defer close(done)
			a.ServeConn(guest)
		}()
		t.Cleanup(func() {
			host.Close()
			<-done
			sys.procs.Wait()
		})
		return host
	}
}
