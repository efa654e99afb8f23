package instance

import (
	"bytes"
	"errors"
	"io"
	"net"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestLinkRoundTrip(t *testing.T) {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	want := Request{Run: &RunRequest{
		Spec: Spec{
			Name: "x", CPUs: 2, MemoryBytes: 1 << 30, Disks: []DiskSpec{{Path: "/d", ReadOnly: true}},
			Exec: &ExecSpec{Argv: Args{"a\nb", "\"", "\xff", ""}, Env: Args{}}, Timeout: time.Second,
		},
		Terminal: []byte{0, 1, 2},
	}}
	go func() {
		if err := NewLink(a).Send(want); err != nil {
			t.Error(err)
		}
	}()
	var got Request
	if err := NewLink(b).Receive(&got); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestLinkSendersDoNotMix(t *testing.T) {
	var buf bytes.Buffer
	l := NewLink(&buf)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 100 {
				if err := l.Send(Reply{Progress: strings.Repeat("x", 300)}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	n := 0
	for in := NewLink(&buf); ; n++ {
		var r Reply
		err := in.Receive(&r)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil || len(r.Progress) != 300 {
			t.Fatalf("message %d: %v, %d bytes", n, err, len(r.Progress))
		}
	}
	if n != 800 {
		t.Errorf("received %d messages, want 800", n)
	}
}

func FuzzReceive(f *testing.F) {
	f.Add([]byte("{\"Stop\":true}\n"))
	f.Add([]byte("{\"Run\":{\"Spec\":{\"CPUs\":1}}}\n{}\n"))
	f.Add([]byte("nonsense\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		l := NewLink(struct {
			io.Reader
			io.Writer
		}{bytes.NewReader(data), io.Discard})
		// Each message takes at least its newline, so that many messages are the most there can be.
		for range bytes.Count(data, []byte("\n")) {
			var r Request
			if err := l.Receive(&r); errors.Is(err, io.EOF) {
				t.Fatal("end of stream before the last line")
			}
		}
		var r Request
		if err := l.Receive(&r); err == nil {
			t.Fatal("a message without an end of line")
		}
	})
}
