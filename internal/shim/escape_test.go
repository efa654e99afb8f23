package shim

import (
	"io"
	"strings"
	"testing"
)

func TestEscapeReader(t *testing.T) {
	for _, tt := range []struct {
		name, in, out string
		escapes       int
	}{
		{"no escape", "plain text\x03", "plain text\x03", 0},
		{"escape at the start", "\x1drest", "", 1},
		{"escape in the middle", "before\x1dafter", "before", 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := 0
			got, err := io.ReadAll(&escapeReader{r: strings.NewReader(tt.in), escaped: func() { n++ }})
			if err != nil || string(got) != tt.out || n != tt.escapes {
				t.Errorf("read %q, %v, %d escapes; want %q, %d", got, err, n, tt.out, tt.escapes)
			}
		})
	}
}
