package box

import (
	"bytes"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/husk-vm/husk/guest/box/names"
)

func TestNames(t *testing.T) {
	have, listed := slices.Sorted(maps.Keys(own())), names.Own()
	slices.Sort(listed)
	if !slices.Equal(have, listed) {
		t.Errorf("commands %v, names %v", have, listed)
	}
	all := names.All([]string{"cat", "env"})
	if !slices.IsSorted(all) || len(slices.Compact(slices.Clone(all))) != len(all) || !slices.Contains(all, "cat") || slices.Contains(all, "sha1sum") || !slices.Contains(all, "bash") {
		t.Errorf("%v", all)
	}
}

func TestShell(t *testing.T) {
	script := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(script, []byte("echo script $1; exit 4\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		args   []string
		in     string
		out    string
		status int
	}{
		{[]string{"-c", "echo $0 $1 $#", "name", "a b", "c"}, "", "name a b 2\n", 0},
		{[]string{"-c", "exit 3"}, "", "", 3},
		{[]string{"-ec", "false; echo no"}, "", "", 1},
		{[]string{"-e", "-c", "false; echo no"}, "", "", 1},
		{[]string{"-c", "false; echo yes"}, "", "yes\n", 0},
		{[]string{"-uc", "echo $NOT_SET_AT_ALL"}, "", "", 1},
		{[]string{"-o", "errexit", "-c", "false; echo no"}, "", "", 1},
		{[]string{"-c"}, "", "", 1},
		{[]string{script, "arg"}, "", "script arg\n", 4},
		{[]string{"/no/such/script"}, "", "", 127},
		{nil, "for i in 1 2; do echo $i; done\n", "1\n2\n", 0},
		{[]string{"-s", "a"}, "echo $1", "a\n", 0},
		{[]string{"-c", "read x; echo got $x"}, "line\n", "got line\n", 0},
		{[]string{"-c", "if"}, "", "", 2},
		{[]string{"-c", "no-such-command-at-all"}, "", "", 127},
		{[]string{"-c", "x=$(echo a | (read y; echo $y$y)); case $x in aa) echo yes;; esac"}, "", "yes\n", 0},
	} {
		var out bytes.Buffer
		got := shell("sh", tt.args, stdio{strings.NewReader(tt.in), &out, io.Discard})
		if got != tt.status || out.String() != tt.out {
			t.Errorf("sh %q < %q: %d, %q, want %d, %q", tt.args, tt.in, got, &out, tt.status, tt.out)
		}
	}
}

func TestBuiltin(t *testing.T) {
	for _, tt := range []struct {
		name   string
		args   []string
		out    string
		status int
	}{
		{"test", []string{"a", "=", "a"}, "", 0},
		{"test", []string{"1", "-gt", "2"}, "", 1},
		{"[", []string{"-n", "", "]"}, "", 1},
		{"[", []string{"-d", "/", "]"}, "", 0},
		{"printf", []string{`%s-%03d\n`, "a b", "7"}, "a b-007\n", 0},
	} {
		var out bytes.Buffer
		if got := builtin(tt.name, tt.args, stdio{strings.NewReader(""), &out, io.Discard}); got != tt.status || out.String() != tt.out {
			t.Errorf("%s %q: %d, %q", tt.name, tt.args, got, &out)
		}
	}
}

func TestEnvironment(t *testing.T) {
	t.Setenv("HUSK_TEST_VAR", "here")
	for _, tt := range []struct {
		args   []string
		out    string
		status int
	}{
		{[]string{"-i", "A=1", "B=2", "A=3"}, "B=2\nA=3\n", 0},
		{[]string{"-i"}, "", 0},
		{[]string{"-i", "no-such-command-at-all"}, "", 127},
		{[]string{"-i", "/etc/passwd"}, "", 126},
		{[]string{"-x"}, "", 125},
	} {
		var out bytes.Buffer
		if got := environment("env", tt.args, stdio{strings.NewReader(""), &out, io.Discard}); got != tt.status || out.String() != tt.out {
			t.Errorf("env %q: %d, %q", tt.args, got, &out)
		}
	}
	var out bytes.Buffer
	environment("env", nil, stdio{nil, &out, io.Discard})
	if !strings.Contains(out.String(), "HUSK_TEST_VAR=here\n") {
		t.Error("the environment is not shown")
	}
	out.Reset()
	environment("env", []string{"-u", "HUSK_TEST_VAR"}, stdio{nil, &out, io.Discard})
	if strings.Contains(out.String(), "HUSK_TEST_VAR") {
		t.Error("-u did not remove it")
	}
}

func TestTranslate(t *testing.T) {
	for _, tt := range []struct {
		args    []string
		in, out string
		status  int
	}{
		{[]string{"a-z", "A-Z"}, "abc xyz", "ABC XYZ", 0},
		{[]string{"[:lower:]", "[:upper:]"}, "abc", "ABC", 0},
		{[]string{"abc", "x"}, "aabbccd", "xxxxxxd", 0},
		{[]string{"-d", "0-9"}, "a1b22c", "abc", 0},
		{[]string{"-cd", "[:alnum:]"}, "a-1 b\n", "a1b", 0},
		{[]string{"-s", " "}, "a   b  c", "a b c", 0},
		{[]string{"-s", "a-z", "A"}, "abcd-e", "A-A", 0},
		{[]string{"-ds", "x", "y"}, "axyxyb", "ayb", 0},
		{[]string{`\n\t`, "::"}, "a\nb\tc", "a:b:c", 0},
		{[]string{`\101\\`, `b/`}, `A\`, "b/", 0},
		{[]string{"--", "-a", "+b"}, "-a", "+b", 0},
		{[]string{"a-", "xy"}, "a-b", "xyb", 0},
		{[]string{"\x00-\xff", "y"}, "\x00\xff", "yy", 0},
		{[]string{"z-a", "x"}, "", "", 1},
		{[]string{"[:nope:]", "x"}, "", "", 1},
		{[]string{"a"}, "", "", 1},
		{[]string{"a", ""}, "", "", 1},
		{[]string{"-q", "a", "b"}, "", "", 1},
		{nil, "", "", 1},
	} {
		var out bytes.Buffer
		got := translate("tr", tt.args, stdio{iotest.OneByteReader(strings.NewReader(tt.in)), &out, io.Discard})
		if got != tt.status || out.String() != tt.out {
			t.Errorf("tr %q of %q: %d, %q, want %q", tt.args, tt.in, got, &out, tt.out)
		}
	}
}

// FuzzTranslate: no set crashes, and deleting a set leaves nothing of it.
func FuzzTranslate(f *testing.F) {
	f.Add("a-z", "Hello")
	f.Add(`[:digit:]\n\377`, "1\n2")
	f.Add(`\`, `\-`)
	f.Fuzz(func(t *testing.T, set, in string) {
		chars, err := expandSet(set)
		if err != nil || set == "" {
			return
		}
		var out bytes.Buffer
		if translate("tr", []string{"-d", "--", set}, stdio{strings.NewReader(in), &out, io.Discard}) != 0 {
			t.Fatalf("tr -d %q refused", set)
		}
		for _, b := range out.Bytes() {
			if bytes.IndexByte(chars, b) >= 0 {
				t.Fatalf("%q has %q left", &out, b)
			}
		}
	})
}
