package agent

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/husk-vm/husk/guest/proto"
)

// talk sends frames and returns the types of the answers until one of type last.
func talk(t *testing.T, c net.Conn, last proto.Type, frames ...[]byte) []proto.Frame {
	t.Helper()
	go c.Write(bytes.Join(frames, nil)) // net.Pipe has no buffer
	r := proto.NewReader(c)
	var got []proto.Frame
	for {
		f, err := r.Next()
		if err != nil {
			t.Fatalf("after %d answers: %v", len(got), err)
		}
		f.Payload = bytes.Clone(f.Payload)
		got = append(got, f)
		if f.Type == last {
			return got
		}
	}
}

func hello(role proto.Role, clock int64) []byte {
	return proto.AppendFrame(nil, proto.TypeHello, 0, 0, proto.Hello{Major: proto.Major, Role: role, Clock: clock}.Append(nil))
}

func TestControlSetsClock(t *testing.T) {
	_, sys, dial := newFake(t)
	now := time.Now()
	talk(t, dial(), proto.TypeDone, hello(proto.RoleControl, now.UnixNano()), proto.AppendFrame(nil, proto.TypePing, 0, 0, nil))
	if len(sys.clock) != 1 || !sys.clock[0].Equal(now) {
		t.Errorf("clock set to %v, want %v", sys.clock, now)
	}
}

func TestShutdown(t *testing.T) {
	a, sys, dial := newFake(t)
	want := proto.Shutdown{Kind: proto.Reboot, Grace: 7}
	c := dial()
	talk(t, c, proto.TypeDone, hello(proto.RoleControl, 0), proto.AppendFrame(nil, proto.TypeShutdown, 0, 0, want.Append(nil)))
	talk(t, c, proto.TypeDone, proto.AppendFrame(nil, proto.TypePing, 0, 0, nil)) // it was taken after the shutdown returned
	a.closing.Store(true)
	got := talk(t, dial(), proto.TypeError, hello(proto.RoleExec, 0), proto.AppendFrame(nil, proto.TypeExec, 0, 0, proto.Exec{Args: []string{"sh"}}.Append(nil)))
	if e, err := proto.DecodeError(got[len(got)-1].Payload); err != nil || e.Code != proto.CodeBusy {
		t.Errorf("a start during shutdown: %+v, %v", e, err)
	}
	sys.mu.Lock()
	defer sys.mu.Unlock()
	if len(sys.down) != 1 || sys.down[0] != want {
		t.Errorf("shut down %+v", sys.down)
	}
}

func TestExecFrames(t *testing.T) {
	_, _, dial := newFake(t)
	m := proto.Exec{Args: []string{"sh", "says", "this"}}
	frames := talk(t, dial(), proto.TypeExit, hello(proto.RoleExec, 0), proto.AppendFrame(nil, proto.TypeExec, 0, 0, m.Append(nil)),
		proto.AppendFrame(nil, proto.TypeData, 0, proto.StreamIn, []byte("input")), proto.AppendFrame(nil, proto.TypeEOF, 0, proto.StreamIn, nil))
	var out []byte
	for _, f := range frames {
		if f.Type == proto.TypeData && f.Stream == proto.StreamOut {
			out = append(out, f.Payload...)
		}
	}
	if string(out) != "shsaysthis" || frames[0].Type != proto.TypeHello || frames[1].Type != proto.TypeStarted {
		t.Errorf("%q, %+v", out, frames)
	}
}

// TestMisconduct: what breaks the protocol ends the connection.
func TestMisconduct(t *testing.T) {
	exec := proto.AppendFrame(nil, proto.TypeExec, 0, 0, proto.Exec{Args: []string{"sh"}}.Append(nil))
	quiet := proto.AppendFrame(nil, proto.TypeExec, 0, 0, proto.Exec{Args: []string{"sh"}, Flags: proto.ExecNoStdin | proto.ExecNoStdout}.Append(nil))
	frame := func(typ proto.Type, stream uint16, p []byte) []byte { return proto.AppendFrame(nil, typ, 0, stream, p) }
	chunk := frame(proto.TypeData, 0, make([]byte, proto.MaxPayload))
	for _, tt := range []struct {
		name   string
		frames [][]byte
	}{
		{"no hello", [][]byte{exec}},
		{"other version", [][]byte{frame(proto.TypeHello, 0, proto.Hello{Major: 9, Role: proto.RoleExec}.Append(nil))}},
		{"second exec", [][]byte{hello(proto.RoleExec, 0), exec, exec}},
		{"output from the host", [][]byte{hello(proto.RoleExec, 0), exec, frame(proto.TypeData, 1, nil)}},
		{"input without input", [][]byte{hello(proto.RoleExec, 0), quiet, frame(proto.TypeData, 0, []byte("x"))}},
		{"input after its end", [][]byte{hello(proto.RoleExec, 0), exec, frame(proto.TypeEOF, 0, nil), frame(proto.TypeData, 0, []byte("x"))}},
		{"grant beyond the window", [][]byte{hello(proto.RoleExec, 0), exec, frame(proto.TypeWindow, 2, proto.Grant{Bytes: 1}.Append(nil))}},
		{"grant for input", [][]byte{hello(proto.RoleExec, 0), exec, frame(proto.TypeWindow, 0, proto.Grant{Bytes: 1}.Append(nil))}},
		{"resize without terminal", [][]byte{hello(proto.RoleExec, 0), exec, frame(proto.TypeResize, 0, proto.Size{}.Append(nil))}},
		{"signal 99", [][]byte{hello(proto.RoleExec, 0), exec, frame(proto.TypeSignal, 0, proto.Signal(99).Append(nil))}},
		{"exec on control", [][]byte{hello(proto.RoleControl, 0), exec}},
		{"unknown frame", [][]byte{hello(proto.RoleExec, 0), exec, {200, 0, 0, 0, 0, 0, 0, 0}}},
		{"exit from the host", [][]byte{hello(proto.RoleExec, 0), exec, chunk, frame(proto.TypeExit, 0, proto.Exit{}.Append(nil))}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, _, dial := newFake(t)
			c := dial()
			go c.Write(bytes.Join(tt.frames, nil))
			if _, err := io.Copy(io.Discard, c); err != nil { // ends only when the agent closes
				t.Error(err)
			}
		})
	}
}

// TestSilence: who says nothing is not kept.
func TestSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, _, dial := newFake(t)
		start := time.Now()
		if _, err := io.Copy(io.Discard, dial()); err != nil {
			t.Error(err)
		}
		if d := time.Since(start); d != helloTimeout {
			t.Errorf("closed after %v", d)
		}
	})
}

func TestReadyConnection(t *testing.T) {
	a, sys, _ := newFake(t)
	host, guest := net.Pipe()
	done := make(chan error)
	go func() { done <- a.ServeReady(guest) }()
	r, w := proto.NewReader(host), proto.NewWriter(host)
	if f, err := r.Next(); err != nil || f.Type != proto.TypeHello {
		t.Fatalf("the agent speaks first: %v, %v", f, err)
	}
	w.Send(proto.TypeHello, 0, proto.Hello{Major: proto.Major, Role: proto.RoleControl, Clock: 5}.Append(nil))
	w.Send(proto.TypeInfoRequest, 0, nil)
	f, err := r.Next()
	if err != nil || f.Type != proto.TypeInfo {
		t.Fatalf("%v, %v", f, err)
	}
	if m, err := proto.DecodeInfo(f.Payload); err != nil || m.Hostname != "fake" {
		t.Errorf("%+v, %v", m, err)
	}
	host.Close()
	if err := <-done; err != io.EOF {
		t.Error(err)
	}
	if len(sys.clock) != 1 {
		t.Error("the hello's clock was not set")
	}
}

func TestLookPath(t *testing.T) {
	dir := t.TempDir()
	for name, mode := range map[string]os.FileMode{"run": 0o755, "plain": 0o644} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, mode); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		name, dir, path, want string
		code                  proto.Code
	}{
		{"run", "/", "/nowhere:" + dir, dir + "/run", 0},
		{"run", dir, "", dir + "/run", 0},
		{"run", dir, "/nowhere:.", dir + "/run", 0},
		{"./run", dir, "", "./run", 0},
		{dir + "/run", "/nowhere", "", dir + "/run", 0},
		{"plain", "/", "/nowhere:" + dir, "", proto.CodePermission},
		{dir, "/", "", "", proto.CodePermission},
		{"absent", "/", dir, "", proto.CodeNotFound},
		{"./absent", "/", "", "", proto.CodeNotFound},
	} {
		got, err := lookPath(tt.name, tt.dir, tt.path)
		if tt.code == 0 && (err != nil || got != tt.want) || tt.code != 0 && (err == nil || wireError(err).Code != tt.code) {
			t.Errorf("%s in %s with PATH=%s: %q, %v", tt.name, tt.dir, tt.path, got, err)
		}
	}
}

func TestMergeEnv(t *testing.T) {
	got := strings.Join(mergeEnv([]string{"A=1", "B=2"}, []string{"B=3", "C=", "A=4", "C=5"}), " ")
	if got != "A=4 B=3 C=5" {
		t.Error(got)
	}
}

func TestWireError(t *testing.T) {
	long := wireError(errors.New(strings.Repeat("x", 1<<20)))
	if e, err := proto.DecodeError(long.Append(nil)); err != nil || len(e.Text) != proto.MaxText {
		t.Errorf("a long text: %d bytes, %v", len(e.Text), err)
	}
}

// FuzzServe: whatever a host sends, the agent ends the connection and all that it started for it.
func FuzzServe(f *testing.F) {
	exec := proto.Exec{Args: []string{"sh"}}
	for _, frames := range [][]byte{
		hello(proto.RoleControl, 1),
		append(hello(proto.RoleExec, 0), proto.AppendFrame(nil, proto.TypeExec, 0, 0, exec.Append(nil))...),
		append(hello(proto.RoleExec, 0), proto.AppendFrame(proto.AppendFrame(nil, proto.TypeExec, 0, 0, exec.Append(nil)), proto.TypeData, 0, 0, []byte("in"))...),
		append(hello(proto.RoleControl, 0), proto.AppendFrame(nil, proto.TypeShutdown, 0, 0, proto.Shutdown{}.Append(nil))...),
	} {
		f.Add(frames)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		if bytes.Contains(in, []byte{byte(proto.RoleFiles)}) && bytes.Contains(in, []byte{byte(proto.TypePut)}) {
			return // it would write files of this machine
		}
		a, sys, _ := newFake(t)
		host, guest := net.Pipe()
		go io.Copy(io.Discard, host)
		go func() {
			host.Write(in)
			host.Close()
		}()
		a.ServeConn(guest)
		sys.procs.Wait()
		if a.closing.Load() {
			t.Fatal("still closing")
		}
	})
}
