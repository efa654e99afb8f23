package lab

import (
	"strings"
	"testing"
	"time"
)

func TestNoteStall(t *testing.T) {
	for _, tt := range []struct {
		took time.Duration
		want string
	}{
		{time.Second, ""},
		{stallLimit, ""},
		{117300 * time.Millisecond, stallLine + " for 1m57s\n"},
	} {
		var b strings.Builder
		if noteStall(&b, tt.took); b.String() != tt.want {
			t.Errorf("%v: %q, want %q", tt.took, b.String(), tt.want)
		}
	}
}
