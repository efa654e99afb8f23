package proto

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
)

var update = flag.Bool("update", false, "rewrite testdata")

// messages has every message once, with every field set.
var messages = []struct {
	name string
	typ  Type
	msg  interface{ Append([]byte) []byte }
	dec  func([]byte) (any, error)
}{
	{"hello", TypeHello, Hello{Major, Minor, RoleExec, 0x1122334455667788}, decode(DecodeHello)},
	{"error", TypeError, Error{CodeNotFound, 2, "no such file"}, decode(DecodeError)},
	{"clock", TypeClock, Clock{1_700_000_000_000_000_001}, decode(DecodeClock)},
	{"info", TypeInfo, Info{"husk", "6.1.0", "x86_64", 2, 1 << 30, 1 << 29, 12345678, 3}, decode(DecodeInfo)},
	{"shutdown", TypeShutdown, Shutdown{Reboot, 5000}, decode(DecodeShutdown)},
	{"exec", TypeExec, Exec{ExecTTY | ExecUser, "/bin/sh", []string{"sh", "-c", ""}, []string{"A=1"}, "/tmp", 1, 2, []uint32{3, 4}, 24, 80}, decode(DecodeExec)},
	{"started", TypeStarted, Started{77}, decode(DecodeStarted)},
	{"window", TypeWindow, Grant{Window}, decode(DecodeGrant)},
	{"signal", TypeSignal, SIGTERM, decode(DecodeSignal)},
	{"resize", TypeResize, Size{33, 77}, decode(DecodeSize)},
	{"exit", TypeExit, Exit{0, SIGSEGV, true, 1000, 2000, 4096}, decode(DecodeExit)},
	{"place", TypePut, Place{"/tmp/x"}, decode(DecodePlace)},
	{"entry", TypeEntry, Entry{KindFile, 0o4755, 99, -1, "a/b", ""}, decode(DecodeEntry)},
	{"symlink", TypeEntry, Entry{KindSymlink, 0o777, 0, 5, "l", "../x"}, decode(DecodeEntry)},
}

func decode[M any](f func([]byte) (M, error)) func([]byte) (any, error) {
	return func(p []byte) (any, error) { return f(p) }
}

// TestGolden pins the bytes on the wire: a guest may have an agent older or newer than the host.
func TestGolden(t *testing.T) {
	var b strings.Builder
	for _, m := range messages {
		fmt.Fprintf(&b, "%-8s %s\n         %+v\n", m.name, hex.EncodeToString(AppendFrame(nil, m.typ, 0, 0, m.msg.Append(nil))), m.msg)
	}
	const name = "testdata/messages.golden" // go test -update
	if *update {
		if err := os.WriteFile(name, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(want) {
		t.Errorf("got\n%s\nwant\n%s", &b, want)
	}
}

func TestRoundTrip(t *testing.T) {
	for _, m := range messages {
		t.Run(m.name, func(t *testing.T) {
			p := m.msg.Append(nil)
			got, err := m.dec(p)
			if err != nil || !reflect.DeepEqual(got, any(m.msg)) {
				t.Errorf("%+v, %v, want %+v", got, err, m.msg)
			}
			// A newer peer may say more.
			if got, err = m.dec(append(p[:len(p):len(p)], 1, 2, 3)); err != nil || !reflect.DeepEqual(got, any(m.msg)) {
				t.Errorf("with more fields: %+v, %v", got, err)
			}
			for n := range p {
				if _, err := m.dec(p[:n]); !errors.Is(err, ErrBad) {
					t.Errorf("%d of %d bytes: %v", n, len(p), err)
				}
			}
		})
	}
}

func TestRefused(t *testing.T) {
	for _, tt := range []struct {
		name string
		msg  interface{ Append([]byte) []byte }
		dec  func([]byte) (any, error)
		want error
	}{
		{"version", Hello{Major + 1, 0, RoleExec, 0}, decode(DecodeHello), ErrVersion},
		{"no arguments", Exec{Path: "x"}, decode(DecodeExec), ErrBad},
		{"no bytes granted", Grant{0}, decode(DecodeGrant), ErrBad},
		{"more than a window granted", Grant{Window + 1}, decode(DecodeGrant), ErrBad},
		{"signal 0", Signal(0), decode(DecodeSignal), ErrBad},
		{"signal 65", Signal(65), decode(DecodeSignal), ErrBad},
		{"kind of shutdown", Shutdown{Kind: 3}, decode(DecodeShutdown), ErrBad},
		{"relative place", Place{"x"}, decode(DecodePlace), ErrBad},
		{"negative time", Exit{User: -1}, decode(DecodeExit), ErrBad},
		{"up", Entry{Kind: KindDir, Path: "a/../b"}, decode(DecodeEntry), ErrBad},
		{"absolute", Entry{Kind: KindDir, Path: "/a"}, decode(DecodeEntry), ErrBad},
		{"empty", Entry{Kind: KindDir}, decode(DecodeEntry), ErrBad},
		{"trailing slash", Entry{Kind: KindDir, Path: "a/"}, decode(DecodeEntry), ErrBad},
		{"zero byte", Entry{Kind: KindDir, Path: "a\x00b"}, decode(DecodeEntry), ErrBad},
		{"link without target", Entry{Kind: KindSymlink, Path: "a"}, decode(DecodeEntry), ErrBad},
		{"file with target", Entry{Kind: KindFile, Path: "a", Target: "b"}, decode(DecodeEntry), ErrBad},
		{"no kind", Entry{Path: "a"}, decode(DecodeEntry), ErrBad},
		{"mode", Entry{Kind: KindFile, Path: "a", Mode: 0o100644}, decode(DecodeEntry), ErrBad},
	} {
		if m, err := tt.dec(tt.msg.Append(nil)); !errors.Is(err, tt.want) {
			t.Errorf("%s: %+v, %v", tt.name, m, err)
		}
	}
}

func TestReader(t *testing.T) {
	exec := AppendFrame(nil, TypeExec, 0, 0, make([]byte, MaxExec))
	for _, tt := range []struct {
		name string
		in   []byte
		want string // types of the frames, and the error
	}{
		{"none", nil, "EOF"},
		{"two", append(AppendFrame(nil, TypePing, 0, 0, nil), AppendFrame(nil, TypeData, 0, 1, []byte("x"))...), "16 34 EOF"},
		{"half a header", []byte{1, 0, 0}, "proto: frame header: unexpected EOF"},
		{"half a payload", AppendFrame(nil, TypeData, 0, 1, []byte("xyz"))[:10], "proto: frame type 34: unexpected EOF"},
		{"no payload", AppendFrame(nil, TypeData, 0, 1, []byte("xyz"))[:8], "proto: frame type 34: unexpected EOF"},
		{"unknown", AppendFrame(nil, 99, 0, 0, nil), "proto: frame type 99: unknown frame type"},
		{"unknown, ignorable", append(AppendFrame(nil, 99, FlagIgnorable, 0, []byte("x")), AppendFrame(nil, TypePing, 0, 0, nil)...), "16 EOF"},
		{"too long", []byte{34, 0, 0, 0, 1, 0, 1, 0}, "proto: frame type 34 of 65537 bytes: frame too long"},
		{"longest", AppendFrame(nil, TypeData, 0, 0, make([]byte, MaxPayload)), "34 EOF"},
		{"exec is longer", exec, "32 EOF"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, r := range []io.Reader{bytes.NewReader(tt.in), iotest.OneByteReader(bytes.NewReader(tt.in))} {
				var got []string
				rd := NewReader(r)
				for {
					f, err := rd.Next()
					if err != nil {
						got = append(got, err.Error())
						break
					}
					got = append(got, fmt.Sprint(uint8(f.Type)))
				}
				if s := strings.Join(got, " "); s != tt.want {
					t.Errorf("%s, want %s", s, tt.want)
				}
			}
		})
	}
}

// TestNoAllocations: frames of data cost no garbage on either side.
func TestNoAllocations(t *testing.T) {
	payload := make([]byte, 32<<10)
	var buf bytes.Buffer
	w, r := NewWriter(&buf), NewReader(&buf)
	c := NewCredit()
	q := NewQueue(func(n uint32) { c.Grant(Grant{n}) })
	sink := make([]byte, len(payload))
	if n := testing.AllocsPerRun(100, func() {
		k, _ := c.Wait(len(payload))
		c.Spend(k)
		if w.Send(TypeData, StreamOut, payload[:k]) != nil {
			t.Fatal("send")
		}
		f, err := r.Next()
		if err != nil || q.Push(f.Payload) != nil {
			t.Fatal("receive")
		}
		if n, err := q.Read(sink); n != k || err != nil {
			t.Fatal("read")
		}
	}); n != 0 {
		t.Errorf("%v allocations for a frame", n)
	}
}

func TestWindow(t *testing.T) {
	granted := 0
	q := NewQueue(func(n uint32) { granted += int(n) })
	if err := q.Push(make([]byte, Window)); err != nil {
		t.Fatal(err)
	}
	if err := q.Push([]byte{1}); err != ErrWindow {
		t.Errorf("one byte more than the window: %v", err)
	}
	io.ReadFull(q, make([]byte, grantAt-1))
	if err := q.Push([]byte{1}); err != ErrWindow || granted != 0 {
		t.Errorf("taken, not granted: %v, %d", err, granted)
	}
	io.ReadFull(q, make([]byte, 1))
	if granted != grantAt {
		t.Errorf("granted %d", granted)
	}
	if err := q.Push(make([]byte, grantAt)); err != nil {
		t.Errorf("what was granted: %v", err)
	}
	q.End(io.EOF)
	if n, err := io.Copy(io.Discard, q); n != Window || err != nil {
		t.Errorf("the rest: %d, %v", n, err)
	}
	if err := q.Push([]byte{1}); err != ErrBad {
		t.Errorf("after the end: %v", err)
	}

	c := NewCredit()
	if err := c.Grant(Grant{1}); err != ErrWindow {
		t.Errorf("granted beyond the window: %v", err)
	}
	if n, ok := c.Wait(10); n != 10 || !ok {
		t.Errorf("%d, %v", n, ok)
	}
	c.Spend(Window)
	c.Close()
	if n, ok := c.Wait(10); n != 0 || ok {
		t.Errorf("closed: %d, %v", n, ok)
	}
}

// TestFlow hammers a stream: bytes come out as they went in, and never more than a window is under way.
func TestFlow(t *testing.T) {
	c := NewCredit()
	q := NewQueue(func(n uint32) {
		if err := c.Grant(Grant{n}); err != nil {
			t.Error(err)
		}
	})
	const total = 4 << 20
	var wg sync.WaitGroup
	wg.Go(func() {
		for sent := 0; sent < total; {
			n, ok := c.Wait(min(total-sent, 1+sent%5000))
			if !ok {
				t.Error("closed")
				return
			}
			p := make([]byte, n)
			for i := range p {
				p[i] = byte((sent + i) * 7)
			}
			c.Spend(n)
			if err := q.Push(p); err != nil {
				t.Error(err)
				return
			}
			sent += n
		}
		q.End(io.EOF)
	})
	got := 0
	buf := make([]byte, 3000)
	for {
		n, err := q.Read(buf[:1+got%len(buf)])
		for i := range n {
			if buf[i] != byte((got+i)*7) {
				t.Fatalf("byte %d is wrong", got+i)
			}
		}
		got += n
		if err != nil {
			break
		}
	}
	wg.Wait()
	if got != total {
		t.Errorf("%d of %d bytes", got, total)
	}
}

// FuzzReader: whatever comes, frames are within their bounds, and what was read is what was written.
func FuzzReader(f *testing.F) {
	for _, m := range messages {
		f.Add(AppendFrame(nil, m.typ, 0, 1, m.msg.Append(nil)))
	}
	f.Add([]byte{34, 0, 0, 0, 255, 255, 255, 255})
	f.Add(append([]byte{99, 1, 0, 0, 1, 0, 0, 0, 7}, AppendFrame(nil, TypePing, 0, 0, nil)...))
	f.Fuzz(func(t *testing.T, in []byte) {
		r := NewReader(bytes.NewReader(in))
		var again []byte
		for {
			fr, err := r.Next()
			if err != nil {
				break
			}
			if !fr.Type.known() || uint32(len(fr.Payload)) > fr.Type.bound() {
				t.Fatalf("frame %d of %d bytes", fr.Type, len(fr.Payload))
			}
			again = AppendFrame(again, fr.Type, fr.Flags, fr.Stream, fr.Payload)
		}
		if len(r.buf) > 2*len(in)+2*firstBuffer {
			t.Fatalf("buffer of %d bytes for %d", len(r.buf), len(in))
		}
		if !subsequence(again, in) {
			t.Fatalf("read %x from %x", again, in)
		}
	})
}

// subsequence reports whether a is b with parts left out.
func subsequence(a, b []byte) bool {
	for _, c := range b {
		if len(a) > 0 && a[0] == c {
			a = a[1:]
		}
	}
	return len(a) == 0
}

// FuzzDecode: a decoder allocates in proportion to its input, and what it accepts encodes to what decodes to the same.
func FuzzDecode(f *testing.F) {
	for i, m := range messages {
		f.Add(uint8(i), m.msg.Append(nil))
	}
	f.Add(uint8(5), []byte{0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255})
	f.Fuzz(func(t *testing.T, which uint8, in []byte) {
		m := messages[int(which)%len(messages)]
		got, err := m.dec(in)
		if err != nil {
			return
		}
		enc := got.(interface{ Append([]byte) []byte }).Append(nil)
		if !bytes.HasPrefix(in, enc) && m.name != "exit" { // a flag has more than one encoding
			t.Fatalf("%x decodes to %+v, which encodes to %x", in, got, enc)
		}
		again, err := m.dec(enc)
		if err != nil || !reflect.DeepEqual(again, got) {
			t.Fatalf("%+v became %+v, %v", got, again, err)
		}
		if e, ok := got.(Entry); ok && strings.Contains("/"+e.Path+"/", "/../") {
			t.Fatalf("path %q leaves its root", e.Path)
		}
	})
}
