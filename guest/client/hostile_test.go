package client

import (
	"bytes"
	"context"
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
	"github.com/husk-vm/husk/guest/tree"
)

// saying returns a client whose guest answers every connection with the same bytes, whatever it is asked, and closes it.
func saying(answer []byte) *Client {
	return New(func(context.Context, uint32) (net.Conn, error) {
		host, guest := net.Pipe()
		go io.Copy(io.Discard, guest)
		go func() {
			guest.Write(answer)
			guest.Close()
		}()
		return host, nil
	})
}

func frame(t proto.Type, stream uint16, payload []byte) []byte {
	return proto.AppendFrame(nil, t, 0, stream, payload)
}

var (
	helloFrame = frame(proto.TypeHello, 0, proto.Hello{Major: proto.Major}.Append(nil))
	started    = frame(proto.TypeStarted, 0, proto.Started{PID: 5}.Append(nil))
	exited     = frame(proto.TypeExit, 0, proto.Exit{}.Append(nil))
)

func answer(frames ...[]byte) []byte { return bytes.Join(append([][]byte{helloFrame}, frames...), nil) }

func TestHostileExec(t *testing.T) {
	data := func(stream uint16, n int) []byte { return frame(proto.TypeData, stream, make([]byte, n)) }
	for _, tt := range []struct {
		name   string
		answer []byte
		want   error
	}{
		{"well behaved", answer(started, data(1, 3), exited), nil},
		{"silent", nil, io.EOF},
		{"no hello", started, proto.ErrBad},
		{"no start", answer(exited), proto.ErrBad},
		{"cut", answer(started), io.ErrUnexpectedEOF},
		{"two starts", answer(started, started), proto.ErrBad},
		{"data for stdin", answer(started, data(0, 1)), proto.ErrBad},
		{"data for nobody", answer(started, data(7, 1)), proto.ErrBad},
		{"data after its end", answer(started, frame(proto.TypeEOF, 1, nil), data(1, 1)), proto.ErrBad},
		{"grant beyond the window", answer(started, frame(proto.TypeWindow, 0, proto.Grant{Bytes: proto.Window}.Append(nil))), proto.ErrWindow},
		{"huge frame", answer(started, []byte{34, 0, 1, 0, 255, 255, 255, 255}), proto.ErrTooLong},
		{"bad exit", answer(started, frame(proto.TypeExit, 0, []byte{1})), proto.ErrBad},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cmd := saying(tt.answer).Command("x")
			cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(""), io.Discard, new(bytes.Buffer)
			if err := cmd.Run(); !errors.Is(err, tt.want) {
				t.Errorf("%v, want %v", err, tt.want)
			}
		})
	}
}

// TestFlood: a guest that ignores the window fills no more than a window.
func TestFlood(t *testing.T) {
	flood := answer(started)
	for range proto.Window/proto.MaxPayload + 1 {
		flood = append(flood, frame(proto.TypeData, 1, make([]byte, proto.MaxPayload))...)
	}
	cmd := saying(flood).Command("x")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); !errors.Is(err, proto.ErrWindow) {
		t.Errorf("%v", err)
	}
	if n, _ := io.Copy(io.Discard, out); n > proto.Window {
		t.Errorf("%d bytes were kept", n)
	}
}

func TestErrorTextIsPrintable(t *testing.T) {
	err := saying(answer(frame(proto.TypeError, 0, proto.Error{Text: "\x1b[2Jgone\n"}.Append(nil)))).Command("x").Run()
	if err == nil || strings.ContainsAny(err.Error(), "\x1b\n") {
		t.Errorf("%q", err)
	}
}

// TestHostileTree: nothing is written outside the destination, whatever the guest names or links.
func TestHostileTree(t *testing.T) {
	entry := func(e proto.Entry) []byte { return frame(proto.TypeEntry, 0, e.Append(nil)) }
	file := func(p string) []byte {
		return bytes.Join([][]byte{entry(proto.Entry{Kind: proto.KindFile, Mode: 0o644, Size: 1, Path: p}), frame(proto.TypeData, 0, []byte("x")), frame(proto.TypeEOF, 0, nil)}, nil)
	}
	symlink := func(p, target string) []byte {
		return entry(proto.Entry{Kind: proto.KindSymlink, Path: p, Target: target})
	}
	end := frame(proto.TypeEnd, 0, nil)
	for _, tt := range []struct {
		name   string
		answer []byte
		want   error // nil: any
	}{
		{"up", answer(file("../x"), end), proto.ErrBad},
		{"absolute", answer(file("/x"), end), proto.ErrBad},
		{"link to outside", answer(symlink("l", ".."), end), tree.ErrLink},
		{"absolute link", answer(symlink("l", "/etc"), end), tree.ErrLink},
		{"link that climbs later", answer(entry(proto.Entry{Kind: proto.KindDir, Mode: 0o755, Path: "d"}), symlink("d/l", "../../x"), end), tree.ErrLink},
		{"through a link that is there", answer(file("planted/x"), end), nil},
		{"over a link that is there", answer(symlink("l2", "planted"), file("l2/x"), end), nil},
		{"more than it said", answer(entry(proto.Entry{Kind: proto.KindFile, Mode: 0o644, Size: 1, Path: "f"}), frame(proto.TypeData, 0, []byte("xy")), end), tree.ErrLimit},
		{"data without file", answer(frame(proto.TypeData, 0, []byte("xy")), end), proto.ErrBad},
		{"cut", answer(entry(proto.Entry{Kind: proto.KindFile, Mode: 0o644, Size: 1, Path: "f"})), io.EOF},
	} {
		t.Run(tt.name, func(t *testing.T) {
			top := t.TempDir()
			dst := filepath.Join(top, "dst")
			if err := os.Mkdir(dst, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink("..", filepath.Join(dst, "planted")); err != nil {
				t.Fatal(err)
			}
			err := saying(tt.answer).GetTree(t.Context(), "/x", dst, Limits{})
			if err == nil || tt.want != nil && !errors.Is(err, tt.want) {
				t.Errorf("%v, want %v", err, tt.want)
			}
			if list, _ := os.ReadDir(top); len(list) != 1 {
				t.Errorf("outside of the destination: %v", list)
			}
		})
	}
}

// TestKillDelay: a guest that does not obey cannot keep Wait beyond KillDelay.
func TestKillDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		c := New(func(context.Context, uint32) (net.Conn, error) {
			host, guest := net.Pipe()
			go io.Copy(io.Discard, guest)
			go guest.Write(answer(started))
			return host, nil
		})
		cmd := c.CommandContext(ctx, "x")
		cmd.KillDelay = time.Minute
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		cancel()
		if err := cmd.Wait(); !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
		if d := time.Since(start); d != time.Minute {
			t.Errorf("Wait returned after %v", d)
		}
	})
}

// pipeListener is a net.Listener of one connection.
type pipeListener struct{ c chan net.Conn }

func (l pipeListener) Accept() (net.Conn, error) {
	c, ok := <-l.c
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}
func (l pipeListener) Close() error   { return nil }
func (l pipeListener) Addr() net.Addr { return nil }

func TestWaitReady(t *testing.T) {
	ln := pipeListener{make(chan net.Conn, 1)}
	host, guest := net.Pipe()
	ln.c <- host
	go func() {
		w, r := proto.NewWriter(guest), proto.NewReader(guest)
		w.Send(proto.TypeHello, 0, proto.Hello{Major: proto.Major, Role: proto.RoleControl}.Append(nil))
		for {
			f, err := r.Next()
			if err != nil {
				return
			}
			if f.Type == proto.TypePing {
				w.Send(proto.TypeDone, 0, nil)
			}
		}
	}()
	c := New(func(context.Context, uint32) (net.Conn, error) {
		return nil, errors.New("the ready connection is to be used")
	})
	if err := c.WaitReady(t.Context(), ln); err != nil {
		t.Fatal(err)
	}
	if err := c.Ping(t.Context()); err != nil {
		t.Error(err)
	}
	c.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := New(nil).WaitReady(ctx, ln); !errors.Is(err, context.Canceled) {
		t.Errorf("a dead context: %v", err)
	}
	close(ln.c)
}

// TestReconnect: a control connection that was lost, as a snapshot loses it, is opened anew.
func TestReconnect(t *testing.T) {
	dials := 0
	c := New(func(context.Context, uint32) (net.Conn, error) {
		dials++
		host, guest := net.Pipe()
		go func() {
			r := proto.NewReader(guest)
			r.Next() // hello
			guest.Write(answer())
			r.Next() // one request
			guest.Write(frame(proto.TypeDone, 0, nil))
			guest.Close()
		}()
		return host, nil
	})
	for range 3 {
		if err := c.Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if dials != 3 {
		t.Errorf("%d dials", dials)
	}
}

// FuzzGuest: whatever a guest answers, every call returns, and nothing is written outside of where it may.
func FuzzGuest(f *testing.F) {
	f.Add(answer(started, frame(proto.TypeData, 1, []byte("out")), frame(proto.TypeWindow, 0, proto.Grant{Bytes: 1}.Append(nil)), exited))
	f.Add(answer(frame(proto.TypeError, 0, proto.Error{Code: 1, Text: "no"}.Append(nil))))
	f.Add(answer(frame(proto.TypeInfo, 0, proto.Info{Hostname: "x"}.Append(nil))))
	f.Add(answer(frame(proto.TypeEntry, 0, proto.Entry{Kind: proto.KindFile, Size: 3, Path: "."}.Append(nil)), frame(proto.TypeData, 0, []byte("abc")), frame(proto.TypeEOF, 0, nil), frame(proto.TypeEnd, 0, nil)))
	f.Add(answer(frame(proto.TypeEntry, 0, proto.Entry{Kind: proto.KindDir, Mode: 0o755, Path: "a"}.Append(nil)), frame(proto.TypeEnd, 0, nil)))
	f.Fuzz(func(t *testing.T, in []byte) {
		c := saying(in)
		cmd := c.Command("x")
		cmd.Stdin = strings.NewReader("input")
		if out, _ := cmd.CombinedOutput(); len(out) > len(in) {
			t.Fatalf("%d bytes of output from %d", len(out), len(in))
		}
		c.Info(t.Context())
		var out bytes.Buffer
		if c.Get(t.Context(), "/x", &out); out.Len() > len(in) {
			t.Fatalf("%d bytes of a file from %d", out.Len(), len(in))
		}
		top := t.TempDir()
		c.GetTree(t.Context(), "/x", filepath.Join(top, "dst"), Limits{Entries: 100})
		if list, _ := os.ReadDir(top); len(list) > 1 || len(list) == 1 && list[0].Name() != "dst" {
			t.Fatalf("outside of the destination: %v", list)
		}
		c.Put(t.Context(), "/x", 0o644, strings.NewReader("content"))
		c.Close()
	})
}
