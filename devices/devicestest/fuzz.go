package devicestest

import (
	"encoding/binary"
	"maps"
	"math/bits"
	"os"
	"slices"
	"strings"
	"testing"
)

// The binary form of a step: one byte with the logarithm of the width in bits 0 and 1, write in bit 2, and in bits 3 to
// 7 zero for an access or else the verb's place in the alphabet, from 1; then, for an access, one byte of offset;
// then, for writes and verbs, width bytes of value. Every input means something, so that mutation is never wasted.
const maxSteps = 4096 // bounds one fuzz input's run time; far more than coverage needs

// Seeds adds every testdata/*.dialogue to f's corpus, in the form that Play reads.
func Seeds(f *testing.F, s Script) {
	f.Helper()
	for _, file := range files(f) {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(s.seed(f, string(text)))
	}
}

func (s Script) seed(f *testing.F, text string) []byte {
	var out []byte
	verbs := s.alphabet()
	for line := range strings.Lines(text) {
		body, _ := cutComment(line)
		ask, _, _ := strings.Cut(strings.TrimSpace(body), " = ")
		if ask == "" {
			continue
		}
		st, err := parseStep(ask)
		if err != nil {
			f.Fatal(err)
		}
		op := byte(bits.TrailingZeros(uint(st.width)))
		switch {
		case st.verb != "":
			out = append(out, op|byte(1+slices.Index(verbs, st.verb))<<3)
		case st.write:
			out = append(out, op|1<<2, byte(st.off))
		default:
			out = append(out, op, byte(st.off))
			continue
		}
		out = append(out, binary.LittleEndian.AppendUint64(nil, st.val)[:st.width]...)
	}
	return out
}

// Play reads data as steps, performs them and calls each with every step's answer. It returns early if each says false.
func (s Script) Play(data []byte, each func(answer string) bool) {
	verbs := s.alphabet()
	for range maxSteps {
		st, rest, ok := decodeStep(data, verbs)
		if !ok || !each(s.do(st)) {
			return
		}
		data = rest
	}
}

func decodeStep(data []byte, verbs []string) (st step, rest []byte, ok bool) {
	take := func(n int) uint64 {
		var b [8]byte
		n = copy(b[:n], data) // what is missing at the end reads as zero
		data = data[n:]
		return binary.LittleEndian.Uint64(b[:])
	}
	if len(data) == 0 {
		return step{}, nil, false
	}
	op := take(1)
	st = step{width: 1 << (op & 3), write: op&4 != 0}
	if verb := int(op >> 3); verb != 0 && len(verbs) > 0 {
		st.verb = verbs[(verb-1)%len(verbs)]
	} else {
		st.off = take(1)
	}
	if st.verb != "" || st.write {
		st.val = take(st.width)
	}
	return st, data, true
}

func (s Script) alphabet() []string { return slices.Sorted(maps.Keys(s.Verbs)) }
