package guestvm

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestTranscriptTail(t *testing.T) {
	for _, tt := range []struct {
		name, in string
		n        int
		want     []string
	}{
		{"nothing", "", 3, nil},
		{"blank lines only", "\r\n\r\n", 3, nil},
		{"fewer lines", "a\r\nb\r\n", 3, []string{"a", "b"}},
		{"the last lines", "a\nb\nc\nd", 2, []string{"c", "d"}},
		{"control characters", "x\x1b[31my\x07\n", 1, []string{"x?[31my?"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tr := NewTranscript(nil)
			tr.Write([]byte(tt.in))
			if got := tr.Tail(tt.n); !slices.Equal(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestTranscriptIsBounded(t *testing.T) {
	tr := NewTranscript(nil)
	for range 1000 {
		tr.Write(bytes.Repeat([]byte("y"), 1000))
	}
	tr.Write([]byte("\nend"))
	if n := cap(tr.buf); n > 8*transcriptSize {
		t.Errorf("holds %d bytes", n)
	}
	if got := tr.Tail(1); !slices.Equal(got, []string{"end"}) {
		t.Errorf("got %q", got)
	}
}

type failing struct{ calls int }

func (f *failing) Write([]byte) (int, error) { f.calls++; return 0, errors.New("closed") }

func TestTranscriptOutlivesItsReader(t *testing.T) {
	var f failing
	tr := NewTranscript(&f)
	for range 3 {
		if n, err := tr.Write([]byte("line\n")); n != 5 || err != nil {
			t.Fatalf("got %d, %v", n, err)
		}
	}
	if f.calls != 1 {
		t.Errorf("a failed reader was called %d times", f.calls)
	}
	if got := strings.Join(tr.Tail(9), ","); got != "line,line,line" {
		t.Errorf("got %q", got)
	}
}
