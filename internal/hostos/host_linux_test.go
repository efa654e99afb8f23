package hostos

import (
	"strings"
	"testing"
)

func TestHostRAM(t *testing.T) {
	ram, err := HostRAM()
	if err != nil {
		t.Fatal(err)
	}
	if ram.Total < 16<<20 || ram.Available == 0 || ram.Available > ram.Total {
		t.Errorf("%+v", ram)
	}
	if n := CPUs(); n < 1 {
		t.Errorf("%d cpus", n)
	}
	if n := PageSize(); n < 4096 || n&(n-1) != 0 {
		t.Errorf("pages of %d bytes", n)
	}
}

func TestParseMeminfo(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		want       RAM
		ok         bool
	}{
		{"usual", "MemTotal:       24683520 kB\nMemFree:         100 kB\nMemAvailable:   23461888 kB\n", RAM{24683520 << 10, 23461888 << 10}, true},
		{"old kernel", "MemTotal: 8 kB\n", RAM{8 << 10, 8 << 10}, true},
		{"no total", "MemFree: 8 kB\n", RAM{}, false},
		{"not numbers", "MemTotal: many kB\nMemAvailable: -1 kB\nnonsense\n", RAM{}, false},
		{"too large", "MemTotal: 99999999999999999 kB\n", RAM{}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := parseMeminfo(strings.NewReader(tt.text))
			if got != tt.want || (err == nil) != tt.ok {
				t.Errorf("%+v, %v; want %+v", got, err, tt.want)
			}
		})
	}
}
