package lab

import (
	"bytes"
	"errors"
	"io"
	"sync"
	"testing"
)

// grants counts the credit that a feeder sends back.
type grants struct {
	mu   sync.Mutex
	cond *sync.Cond
	n    int // guarded by mu
}

func newGrants() *grants {
	g := &grants{}
	g.cond = sync.NewCond(&g.mu)
	return g
}

func (g *grants) send(t frameType, payload []byte) error {
	n, err := frame{typ: t, payload: payload}.credit()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.n += n
	g.cond.Broadcast()
	return err
}

// take waits for n bytes of credit.
func (g *grants) take(n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for g.n < n {
		g.cond.Wait()
	}
	g.n -= n
}

func TestStdinFeeder(t *testing.T) {
	r, w := io.Pipe()
	g := newGrants()
	s := newStdinFeeder(w, g)
	var want []byte
	got := make(chan []byte)
	go func() {
		b, err := io.ReadAll(r)
		if err != nil {
			t.Error(err)
		}
		got <- b
	}()
	for i := range 1000 { // four windows' worth, within the credit
		chunk := bytes.Repeat([]byte{byte(i)}, i)
		g.take(len(chunk))
		if err := s.feed(chunk); err != nil {
			t.Fatal(err)
		}
		want = append(want, chunk...)
	}
	s.end()
	if b := <-got; !bytes.Equal(b, want) {
		t.Errorf("%d bytes arrived, want %d", len(b), len(want))
	}
	s.close()
}

func TestStdinFeederRefusesBeyondCredit(t *testing.T) {
	r, w := io.Pipe()
	g := newGrants()
	s := newStdinFeeder(w, g)
	g.take(stdinWindow)
	if err := s.feed(make([]byte, stdinWindow)); err != nil {
		t.Fatal(err)
	}
	if err := s.feed([]byte{1}); !errors.Is(err, errFrame) {
		t.Errorf("error %v, want %v", err, errFrame)
	}
	r.Close() // the command ends without having read
	s.close()
}

// TestStdinFeederSwallows holds that a command that has closed its input does not stop the sender.
func TestStdinFeederSwallows(t *testing.T) {
	r, w := io.Pipe()
	r.Close()
	g := newGrants()
	s := newStdinFeeder(w, g)
	for range 10 {
		g.take(stdinWindow)
		if err := s.feed(make([]byte, stdinWindow)); err != nil {
			t.Fatal(err)
		}
	}
	s.close()
}

func TestNilStdinFeeder(t *testing.T) {
	var s *stdinFeeder
	if err := s.feed([]byte("x")); err != nil {
		t.Error(err)
	}
	s.end()
	s.close()
}
