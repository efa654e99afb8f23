package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("testreport", flag.ContinueOnError)
	flags.SetOutput(stderr)
	forbid := flags.String("no-skips", "", "`pattern` of tests (package.Test) whose skip is a failure")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	var forbidden *regexp.Regexp
	if *forbid != "" {
		var err error
		if forbidden, err = regexp.Compile(*forbid); err != nil {
			fmt.Fprintln(stderr, "testreport:", err)
			return 2
		}
	}
	cmd := exec.Command("go", append([]string{"test", "-json"}, flags.Args()...)...)
	cmd.Stderr = stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		fmt.Fprintln(stderr, "testreport:", err)
		return 2
	}
	r := report{out: stdout, tests: map[string]*bytes.Buffer{}}
	r.read(out)
	err = cmd.Wait()
	bad := r.close(forbidden)
	if err != nil {
		return 1
	}
	return bad
}

// event is a line of `go test -json`; see `go doc test2json`.
type event struct {
	Action, Package, Test, Output, ImportPath string
}

// report follows a run.
type report struct {
	out           io.Writer
	tests         map[string]*bytes.Buffer // output of tests that have not ended
	passed, fails int
	skips         []skip
}

type skip struct{ name, reason string }

func (r *report) read(in io.Reader) {
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			var e event
			if json.Unmarshal(line, &e) == nil && e.Action != "" {
				r.event(e)
			} else {
				r.out.Write(line)
			}
		}
		if err != nil {
			return
		}
	}
}

func (r *report) event(e event) {
	if e.Test == "" {
		// Lines of packages and of the build: the usual closing ones among them. A lone PASS says nothing new.
		if (e.Action == "output" || e.Action == "build-output") && e.Output != "PASS\n" {
			io.WriteString(r.out, e.Output)
		}
		return
	}
	name := e.Package + "." + e.Test
	switch e.Action {
	case "run":
		r.tests[name] = new(bytes.Buffer)
	case "output":
		if b := r.tests[name]; b != nil && !strings.HasPrefix(e.Output, "=== ") {
			b.WriteString(e.Output)
		}
	case "pass", "bench":
		r.passed++
		delete(r.tests, name)
	case "fail":
		r.fails++
		if b := r.tests[name]; b != nil {
			r.out.Write(b.Bytes())
		}
		delete(r.tests, name)
	case "skip":
		reason := ""
		if b := r.tests[name]; b != nil {
			reason = reasonOf(b.String())
		}
		r.skips = append(r.skips, skip{name, reason})
		delete(r.tests, name)
	}
}

// reasonOf takes the argument of t.Skip out of a skipped test's output.
func reasonOf(output string) string {
	for line := range strings.Lines(output) {
		if _, reason, ok := strings.Cut(strings.TrimSpace(line), ".go:"); ok {
			_, reason, _ = strings.Cut(reason, ": ")
			return reason
		}
	}
	return "no reason given"
}

// close prints the totals and returns 1 if a forbidden skip was among them.
func (r *report) close(forbidden *regexp.Regexp) int {
	code := 0
	for _, s := range r.skips {
		word := "skipped"
		if forbidden != nil && forbidden.MatchString(s.name) {
			word, code = "SKIPPED, which is a failure here", 1
		}
		fmt.Fprintf(r.out, "%s: %s: %s\n", word, s.name, s.reason)
	}
	for name, b := range r.tests { // a crash leaves tests without an end
		fmt.Fprintf(r.out, "unfinished: %s\n%s", name, b)
	}
	fmt.Fprintf(r.out, "%d passed, %d failed, %d skipped\n", r.passed, r.fails, len(r.skips))
	return code
}
