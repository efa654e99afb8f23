package box

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
)

// translate is tr, on bytes, as in the POSIX locale [POSIX tr]. u-root's does not know ranges beside classes.
func translate(name string, args []string, s stdio) int {
	t, err := newTranslation(args)
	if err == nil {
		err = t.copy(s.out, s.in)
	}
	if err != nil {
		fmt.Fprintf(s.err, "%s: %v\n", name, err)
		return 1
	}
	return 0
}

// translation is what tr does to each byte.
type translation struct {
	to      [256]byte
	drop    [256]bool
	squeeze [256]bool // of the result
}

var errTr = errors.New("usage: tr [-cC] [-s] string1 string2; tr [-cC] -d [-s] string1 [string2]; tr [-cC] -s string1")

func newTranslation(args []string) (*translation, error) {
	var complement, del, squeeze bool
	for len(args) > 0 && len(args[0]) > 1 && args[0][0] == '-' {
		opts := args[0][1:]
		args = args[1:]
		if opts == "-" {
			break
		}
		for _, c := range opts {
			switch c {
			case 'c', 'C':
				complement = true
			case 'd':
				del = true
			case 's':
				squeeze = true
			default:
				return nil, fmt.Errorf("unknown option -%c", c)
			}
		}
	}
	if len(args) < 1 || len(args) > 2 || len(args) == 1 && !del && !squeeze || len(args) == 2 && del && !squeeze {
		return nil, errTr
	}
	from, err := expandSet(args[0])
	if err != nil {
		return nil, err
	}
	if complement {
		from = others(from)
	}
	var to []byte
	if len(args) == 2 {
		if to, err = expandSet(args[1]); err != nil {
			return nil, err
		}
	}
	return plan(from, to, len(args) == 2, del, squeeze)
}

// plan fills the tables.
func plan(from, to []byte, two, del, squeeze bool) (*translation, error) {
	t := new(translation)
	for i := range t.to {
		t.to[i] = byte(i)
	}
	if del {
		for _, b := range from {
			t.drop[b] = true
		}
	} else if two {
		if len(to) == 0 && len(from) > 0 {
			return nil, errors.New("string2 is empty")
		}
		for i, b := range from {
			t.to[b] = to[min(i, len(to)-1)] // a short string2 is continued with its last byte
		}
	}
	if squeeze {
		set := from
		if two {
			set = to
		}
		for _, b := range set {
			t.squeeze[b] = true
		}
	}
	return t, nil
}

// copy translates r to w.
func (t *translation) copy(w io.Writer, r io.Reader) error {
	out := bufio.NewWriter(w)
	buf := make([]byte, 32<<10)
	last := -1 // the byte written last, if it is one to squeeze
	for {
		n, err := r.Read(buf)
		for _, b := range buf[:n] {
			if t.drop[b] {
				continue
			}
			b = t.to[b]
			if t.squeeze[b] && last == int(b) {
				continue
			}
			last = int(b)
			if err := out.WriteByte(b); err != nil {
				return err
			}
		}
		if ferr := out.Flush(); ferr != nil { // what came together goes together: somebody may be waiting for it
			return ferr
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func others(set []byte) []byte {
	var in [256]bool
	for _, b := range set {
		in[b] = true
	}
	var out []byte
	for i, ok := range in {
		if !ok {
			out = append(out, byte(i))
		}
	}
	return out
}

// classes are the character classes of the POSIX locale.
func class(name string) func(b byte) bool {
	between := func(lo, hi byte) func(byte) bool { return func(b byte) bool { return lo <= b && b <= hi } }
	upper, lower, digit, graph := between('A', 'Z'), between('a', 'z'), between('0', '9'), between('!', '~')
	switch name {
	case "upper":
		return upper
	case "lower":
		return lower
	case "digit":
		return digit
	case "alpha":
		return func(b byte) bool { return upper(b) || lower(b) }
	case "alnum":
		return func(b byte) bool { return upper(b) || lower(b) || digit(b) }
	case "xdigit":
		return func(b byte) bool { return strings.IndexByte("0123456789abcdefABCDEF", b) >= 0 }
	case "blank":
		return func(b byte) bool { return b == ' ' || b == '\t' }
	case "space":
		return func(b byte) bool { return b == ' ' || '\t' <= b && b <= '\r' }
	case "cntrl":
		return func(b byte) bool { return b < ' ' || b == 0x7f }
	case "graph":
		return graph
	case "print":
		return between(' ', '~')
	case "punct":
		return func(b byte) bool { return graph(b) && !upper(b) && !lower(b) && !digit(b) }
	}
	return nil
}

// expandSet lists the bytes that a string of tr means: ranges, classes and escapes.
func expandSet(s string) ([]byte, error) {
	var out []byte
	for len(s) > 0 {
		if rest, ok := strings.CutPrefix(s, "[:"); ok {
			if name, after, ok := strings.Cut(rest, ":]"); ok {
				f := class(name)
				if f == nil {
					return nil, fmt.Errorf("unknown class %q", name)
				}
				for i := range 256 {
					if f(byte(i)) {
						out = append(out, byte(i))
					}
				}
				s = after
				continue
			}
		}
		var lo byte
		lo, s = element(s)
		if len(s) < 2 || s[0] != '-' {
			out = append(out, lo)
			continue
		}
		var hi byte
		hi, s = element(s[1:])
		if hi < lo {
			return nil, fmt.Errorf("range %q-%q is backwards", lo, hi)
		}
		for i := int(lo); i <= int(hi); i++ {
			out = append(out, byte(i))
		}
	}
	return out, nil
}

// element takes one byte, or an escape for one, off the front of s.
func element(s string) (byte, string) {
	if s[0] != '\\' || len(s) == 1 {
		return s[0], s[1:]
	}
	if i := strings.IndexByte(`abfnrtv\`, s[1]); i >= 0 {
		return "\a\b\f\n\r\t\v\\"[i], s[2:]
	}
	v, n := 0, 1
	for n < len(s) && n <= 3 && s[n] >= '0' && s[n] <= '7' && v*8+int(s[n]-'0') < 256 {
		v = v*8 + int(s[n]-'0')
		n++
	}
	if n > 1 {
		return byte(v), s[n:]
	}
	return s[1], s[2:]
}
