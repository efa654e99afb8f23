package guestvm

import (
	"bytes"
	"io"
	"strings"
	"sync"
	"unicode"
)

// transcriptSize is how much console output is remembered: enough for an oops with its registers.
const transcriptSize = 16 << 10

// Transcript remembers the end of a guest's console output and passes all of it on.
type Transcript struct {
	mu   sync.Mutex
	buf  []byte    // guarded by mu
	next io.Writer // guarded by mu; nil: nowhere, or it failed
}

// NewTranscript makes a transcript that passes output on to next; nil: nowhere.
func NewTranscript(next io.Writer) *Transcript { return &Transcript{next: next} }

// Write implements io.Writer. It always succeeds: a console that nobody reads must not stop a guest.
func (t *Transcript) Write(p []byte) (int, error) {
	t.mu.Lock()
	t.buf = append(t.buf, p...)
	if len(t.buf) > 2*transcriptSize {
		t.buf = append(t.buf[:0], t.buf[len(t.buf)-transcriptSize:]...)
	}
	next := t.next
	t.mu.Unlock()
	if next != nil {
		if _, err := next.Write(p); err != nil {
			t.mu.Lock()
			t.next = nil
			t.mu.Unlock()
		}
	}
	return len(p), nil
}

// Tail returns up to n last lines, printable, without trailing blanks.
func (t *Transcript) Tail(n int) []string {
	t.mu.Lock()
	text := strings.Map(printable, string(bytes.TrimRight(t.buf, "\r\n \t")))
	t.mu.Unlock()
	if text == "" {
		return nil
	}
	lines := strings.Split(text, "\n")
	if len(lines) > n {
		lines = lines[len(lines)-n:]
	}
	for i, l := range lines {
		lines[i] = strings.TrimRight(l, " \t")
	}
	return lines
}

// printable keeps a guest from sending control sequences to the terminal through an error message.
func printable(r rune) rune {
	switch {
	case r == '\n' || r == '\t' || unicode.IsPrint(r):
		return r
	case r == '\r':
		return -1
	}
	return '?'
}
