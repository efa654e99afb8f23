package vsock

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

var update = flag.Bool("update", false, "rewrite the goldens")

// A conversation golden is a script in testdata/script. Lines that a person writes:
//
//	listen PORT | unlisten | dial PORT | accept | reset      the host's program; conns are numbered from 0
//	write N TEXT | read N MAX | shut N r|w|rw | close N | abort N | deadline N | sleep DURATION
//	> OP SRC->DST [alloc=N] [fwd=N] [flags=N] [type=N] [op=N] [cid=N] "payload"
//	room N | hold | flow                       bytes of payload in a guest's buffer; give none; give them again
//
// and lines that the test writes below them: "<" packets to the guest, "=" results.

// script runs a conversation.
type script struct {
	t     *testing.T
	d     *Device
	l     *Listener
	conns []*Conn
	room  uint64
	held  bool // packets to the guest wait

	mu  sync.Mutex
	out strings.Builder // guarded by mu
}

func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/script/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no scripts", err)
	}
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txt"), func(t *testing.T) {
			want, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			var got string
			synctest.Test(t, func(t *testing.T) { got = runScript(t, string(want)) })
			if *update {
				if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if got != string(want) {
				t.Errorf("got\n%s", got)
			}
		})
	}
}

func runScript(t *testing.T, text string) string {
	s := &script{t: t, d: newTestDevice(t, Config{Window: MinWindow}), room: 4096 - headerSize}
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(line, "<") || strings.HasPrefix(line, "=") {
			continue
		}
		s.print("%s\n", line)
		if line == "" || line[0] == '#' {
			continue
		}
		if line[0] == '>' {
			s.send(line[1:])
		} else {
			s.act(strings.Fields(line))
		}
		synctest.Wait()
		if !s.held {
			s.drain()
		}
	}
	s.d.down()
	synctest.Wait()
	return s.out.String()
}

// drain prints what the device has for the guest.
func (s *script) drain() {
	for {
		m, p := &memChain{b: make([]byte, 0, headerSize+s.room)}, packet{}
		s.mu.Lock() // so that the packet is printed before what follows from it
		n, err := s.d.fill(m, s.room, &p)
		if err == nil && n != 0 {
			fmt.Fprintf(&s.out, "< %s\n", s.describe(header(m.b[:headerSize]), m.b[headerSize:]))
		}
		s.mu.Unlock()
		if err != nil {
			s.t.Fatal(err)
		}
		if n == 0 {
			return
		}
		synctest.Wait()
	}
}

// describe spells out a packet to the guest.
func (s *script) describe(h header, payload []byte) string {
	text := fmt.Sprintf("%v %d->%d", h.op(), h.srcPort(), h.dstPort())
	if h.op() != opRst || h.bufAlloc() != 0 {
		text += fmt.Sprintf(" alloc=%d fwd=%d", h.bufAlloc(), h.fwdCnt())
	}
	if h.flags() != 0 {
		text += fmt.Sprintf(" flags=%d", h.flags())
	}
	if h.typ() != typeStream {
		text += fmt.Sprintf(" type=%d", h.typ())
	}
	if len(payload) > 0 {
		text += " " + short(payload)
	}
	if h.srcCID() != HostCID || h.dstCID() != testCID || int(h.len()) != len(payload) {
		s.t.Errorf("%s: cid %d to %d, len %d", text, h.srcCID(), h.dstCID(), h.len())
	}
	return text
}

func (s *script) print(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintf(&s.out, format, args...)
}

// short prints a payload, runs of one byte as "x"*n.
func short(p []byte) string {
	if len(p) > 16 && strings.Trim(string(p), string(p[0])) == "" {
		return fmt.Sprintf("%q*%d", p[0], len(p))
	}
	return fmt.Sprintf("%q", p)
}

func (s *script) result(format string, args ...any) { s.print("= "+format+"\n", args...) }

// send gives the device a packet.
func (s *script) send(line string) {
	f := fields{srcCID: testCID, dstCID: HostCID, typ: typeStream, bufAlloc: 1 << 16}
	var payload []byte
	for i, w := range strings.Fields(line) {
		var n int64
		k, v, ok := strings.Cut(w, "=")
		if ok {
			if _, err := fmt.Sscan(v, &n); err != nil {
				s.t.Fatalf("%s: %v", line, err)
			}
		}
		switch {
		case i == 0:
			for o := range opNames {
				if opNames[o] == w {
					f.op = op(o)
				}
			}
		case i == 1:
			if _, err := fmt.Sscanf(w, "%d->%d", &f.srcPort, &f.dstPort); err != nil {
				s.t.Fatalf("%s: %v", line, err)
			}
		case k == "alloc":
			f.bufAlloc = uint32(n)
		case k == "fwd":
			f.fwdCnt = uint32(n)
		case k == "flags":
			f.flags = uint32(n)
		case k == "type":
			f.typ = sockType(n)
		case k == "op":
			f.op = op(n)
		case k == "cid":
			f.srcCID = uint64(n)
		case k == "bytes":
			payload = []byte(strings.Repeat("x", int(n)))
		default:
			payload = []byte(strings.Trim(w, `"`))
		}
	}
	f.len = uint32(len(payload))
	var h header
	h.set(f)
	if err := s.d.take(&memChain{b: append(h[:], payload...)}, uint64(headerSize+len(payload)), &h); err != nil {
		s.result("driver: %v", err)
	}
}

// act does what the host's program does. What blocks runs beside the script.
func (s *script) act(w []string) {
	var n int
	if len(w) > 1 {
		fmt.Sscan(w[1], &n)
	}
	switch w[0] {
	case "room":
		s.room = uint64(n)
		return
	case "hold", "flow":
		s.held = w[0] == "hold"
		return
	case "listen":
		l, err := s.d.Listen(uint32(n))
		if err != nil {
			s.result("%v", err)
			return
		}
		s.l = l
		return
	case "unlisten":
		s.l.Close()
		return
	case "dial":
		go func() {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			c, err := s.d.Dial(ctx, uint32(n))
			if err != nil {
				s.result("dial: %v", err)
				return
			}
			s.conns = append(s.conns, c)
			s.result("conn %d is %v->%v", len(s.conns)-1, c.LocalAddr(), c.RemoteAddr())
		}()
		return
	case "accept":
		c, err := s.l.AcceptVsock()
		if err != nil {
			s.t.Fatal(err)
		}
		s.conns = append(s.conns, c)
		s.result("conn %d is %v->%v", len(s.conns)-1, c.LocalAddr(), c.RemoteAddr())
		return
	case "sleep":
		d, err := time.ParseDuration(w[1])
		if err != nil {
			s.t.Fatal(err)
		}
		time.Sleep(d)
		return
	case "reset":
		s.d.down()
		s.d.up()
		return
	}
	c := s.conns[n]
	var err error
	switch w[0] {
	case "write":
		text := w[2]
		var times int
		if _, err := fmt.Sscanf(text, "x*%d", &times); err == nil {
			text = strings.Repeat("x", times)
		}
		go func() {
			n, err := c.Write([]byte(text))
			s.result("wrote %d%s", n, reason(err))
		}()
		return
	case "read":
		var most int
		fmt.Sscan(w[2], &most)
		go func() {
			p := make([]byte, most)
			n, err := c.Read(p)
			s.result("read %s%s", short(p[:n]), reason(err))
		}()
		return
	case "shut":
		if strings.Contains(w[2], "r") {
			err = c.CloseRead()
		}
		if strings.Contains(w[2], "w") {
			err = errors.Join(err, c.CloseWrite())
		}
	case "close":
		err = c.Close()
	case "abort":
		err = errors.Join(c.SetLinger(0), c.Close())
	case "deadline":
		err = errors.Join(c.SetReadDeadline(time.Now().Add(time.Second)), c.SetWriteDeadline(time.Now().Add(2*time.Second)))
	default:
		s.t.Fatalf("unknown: %v", w)
	}
	if err != nil {
		s.result("%v", reason(err)[2:])
	}
}

// reason is the cause of an error, without the addresses.
func reason(err error) string {
	if err == nil {
		return ""
	}
	if err == io.EOF {
		return ", EOF"
	}
	for u := errors.Unwrap(err); u != nil; u = errors.Unwrap(err) {
		err = u
	}
	return ", " + err.Error()
}
