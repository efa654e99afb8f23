package main

import (
	"bytes"
	"regexp"
	"strings"
	"testing"
)

const sample = `{"Action":"start","Package":"p"}
{"Action":"run","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Test":"TestA","Output":"=== RUN   TestA\n"}
{"Action":"pass","Package":"p","Test":"TestA"}
{"Action":"run","Package":"p","Test":"TestB"}
{"Action":"output","Package":"p","Test":"TestB","Output":"    b_test.go:7: no kvm: here\n"}
{"Action":"output","Package":"p","Test":"TestB","Output":"--- SKIP: TestB (0.00s)\n"}
{"Action":"skip","Package":"p","Test":"TestB"}
{"Action":"run","Package":"p","Test":"TestC"}
{"Action":"output","Package":"p","Test":"TestC","Output":"    c_test.go:9: wrong\n"}
{"Action":"fail","Package":"p","Test":"TestC"}
{"Action":"output","Package":"p","Output":"PASS\n"}
{"Action":"output","Package":"p","Output":"ok  \tp\t0.1s\n"}
{"Action":"pass","Package":"p"}
`

func TestReport(t *testing.T) {
	for _, tt := range []struct {
		name, forbid string
		want         int
	}{
		{"skips are counted", "", 0},
		{"another test", `p\.TestX`, 0},
		{"a forbidden skip", `p\.Test`, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			r := report{out: &out, tests: map[string]*bytes.Buffer{}}
			r.read(strings.NewReader(sample))
			var forbidden *regexp.Regexp
			if tt.forbid != "" {
				forbidden = regexp.MustCompile(tt.forbid)
			}
			if got := r.close(forbidden); got != tt.want {
				t.Errorf("exit code %d, want %d", got, tt.want)
			}
			for _, line := range []string{"ok  \tp\t0.1s\n", "c_test.go:9: wrong\n", "p.TestB: no kvm: here\n", "1 passed, 1 failed, 1 skipped\n"} {
				if !strings.Contains(out.String(), line) {
					t.Errorf("output lacks %q:\n%s", line, &out)
				}
			}
			if strings.Contains(out.String(), "PASS") || strings.Contains(out.String(), "=== RUN") {
				t.Errorf("output has noise:\n%s", &out)
			}
		})
	}
}
