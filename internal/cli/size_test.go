package cli

import (
	"strings"
	"testing"
)

func TestParseSize(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want uint64
		err  string
	}{
		{"1", 1, ""},
		{"512M", 512 << 20, ""},
		{"1.5G", 3 << 29, ""},
		{"2gib", 2 << 30, ""},
		{"64 KB", 64 << 10, ""},
		{" 1T ", 1 << 40, ""},
		{"", 0, "want a number"},
		{"G", 0, "want a number"},
		{"1X", 0, "want a number"},
		{"-1G", 0, "want a number"},
		{"1.5", 0, "want a number"},
		{"1.2.3G", 0, "want a number"},
		{"99999999999T", 0, "too large"},
		{"18446744073709551616", 0, "too large"},
		{"1IM", 0, "want a number"},
		{"1e3G", 0, "want a number"},
	} {
		t.Run(tt.in, func(t *testing.T) {
			got, err := parseSize(tt.in)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Fatalf("got %d, %v; want an error with %q", got, err, tt.err)
				}
				return
			}
			if err != nil || got != tt.want {
				t.Errorf("got %d, %v; want %d", got, err, tt.want)
			}
		})
	}
}

func FuzzParseSize(f *testing.F) {
	for _, s := range []string{"1", "1.5G", "2gib", "", "K", "0x1M"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := parseSize(s)
		if err != nil {
			return
		}
		if back, err := parseSize(formatSize(n)); err != nil || back != n {
			t.Errorf("%q is %d, printed %q, read back %d, %v", s, n, formatSize(n), back, err)
		}
	})
}
