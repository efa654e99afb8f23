package devicestest

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/husk-vm/husk/devices"
)

// Script is a device and what else can happen to it, ready to play a dialogue. A dialogue is text that a person can
// read, one step a line:
//
//	# a comment
//	w8 0x3 0x80            # write one byte to offset 3
//	r32 0x10 = 0x170020    # read four bytes: the answer is checked
//	press = high           # a verb of this script, without argument
//	feed "hi" = high       # a verb with an argument: a number, or up to eight characters
//
// The same steps have a binary form (Seeds, Play) for fuzzing.
type Script struct {
	Device devices.Device
	// Verbs are the steps besides register accesses: name to action. The answer is checked like that of a read; an
	// action that answers "" has none. Characters come packed as in memory, the first in the lowest byte.
	Verbs map[string]func(arg uint64) string
}

// step is one line of a dialogue, or one operation of a fuzz input.
type step struct {
	verb  string // "" for a register access
	write bool
	width int // 1, 2, 4 or 8; for a verb, the width of the argument in the binary form
	off   uint64
	val   uint64
}

// Dialogues plays every testdata/*.dialogue, each with a Script of its own from open, and checks the answers. If
// update is set it rewrites the answers in the files instead.
func Dialogues(t *testing.T, update *bool, open func(t *testing.T) Script) {
	t.Helper()
	for _, file := range files(t) {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".dialogue"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := open(t).converse(t, file, string(text), *update)
			if *update && got != string(text) {
				if err := os.WriteFile(file, []byte(got), 0o666); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// converse plays one dialogue and returns it with the answers that came.
func (s Script) converse(t *testing.T, name, text string, update bool) string {
	var out strings.Builder
	n := 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimSuffix(line, "\n")
		body, comment := cutComment(line)
		ask, want, _ := strings.Cut(strings.TrimSpace(body), " = ")
		if ask == "" {
			fmt.Fprintln(&out, line)
			continue
		}
		st, err := parseStep(ask)
		if err == nil {
			err = s.knows(st)
		}
		if err != nil {
			t.Fatalf("%s:%d: %v", name, n, err)
		}
		got, want := s.do(st), strings.TrimSpace(want)
		if got == want {
			fmt.Fprintln(&out, line)
			continue
		}
		if !update {
			t.Errorf("%s:%d: %s = %s, want %s", name, n, ask, got, want)
		}
		if got != "" {
			ask += " = " + got
		}
		fmt.Fprintln(&out, strings.TrimSpace(fmt.Sprintf("%-30s %s", ask, comment)))
	}
	return out.String()
}

func cutComment(line string) (body, comment string) {
	if i := strings.IndexByte(line, '#'); i >= 0 {
		return line[:i], line[i:]
	}
	return line, ""
}

// parseStep reads the asking half of a line.
func parseStep(text string) (step, error) {
	word, rest, _ := strings.Cut(text, " ")
	rest = strings.TrimSpace(rest)
	if bits, err := strconv.Atoi(word[1:]); err == nil && (word[0] == 'r' || word[0] == 'w') {
		if !slices.Contains([]int{8, 16, 32, 64}, bits) {
			return step{}, fmt.Errorf("%s: no such width", word)
		}
		st := step{write: word[0] == 'w', width: bits / 8}
		off, val, _ := strings.Cut(rest, " ")
		if st.off, err = strconv.ParseUint(off, 0, 64); err != nil {
			return step{}, err
		}
		if st.write {
			st.val, err = strconv.ParseUint(strings.TrimSpace(val), 0, bits)
		} else if val != "" {
			err = fmt.Errorf("%s: a read has no value", text)
		}
		return st, err
	}
	st := step{verb: word, width: 1}
	var err error
	switch {
	case rest == "":
	case rest[0] == '"':
		var chars string
		if chars, err = strconv.Unquote(rest); err == nil && len(chars) > 8 {
			err = fmt.Errorf("%s: more than eight characters", rest)
		}
		var b [8]byte
		copy(b[:], chars)
		st.val = binary.LittleEndian.Uint64(b[:])
	default:
		st.val, err = strconv.ParseUint(rest, 0, 64)
	}
	for st.width < 8 && st.val>>(8*st.width) != 0 {
		st.width *= 2
	}
	return st, err
}

func (s Script) knows(st step) error {
	if _, ok := s.Verbs[st.verb]; st.verb != "" && !ok {
		return fmt.Errorf("%s: no such verb", st.verb)
	}
	return nil
}

// do performs a step and returns the answer.
func (s Script) do(st step) string {
	if st.verb != "" {
		return s.Verbs[st.verb](st.val)
	}
	var b [8]byte
	p := b[:st.width:st.width]
	if st.write {
		binary.LittleEndian.PutUint64(b[:], st.val)
		s.Device.Write(st.off, p)
		return ""
	}
	s.Device.Read(st.off, p)
	return fmt.Sprintf("0x%0*x", 2*st.width, binary.LittleEndian.Uint64(b[:]))
}

func files(t testing.TB) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/*.dialogue")
	if err != nil || len(files) == 0 {
		t.Fatalf("testdata/*.dialogue: none found (%v)", err)
	}
	return files
}
