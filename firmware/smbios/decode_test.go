package smbios

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// decoded is a structure as a reader finds it.
type decoded struct {
	kind    byte
	handle  uint16
	fields  []byte // with the header
	strings []string
}

// text returns the string that the field at off refers to.
func (d decoded) text(t testing.TB, off int) string {
	t.Helper()
	n := int(d.fields[off])
	switch {
	case n == 0:
		return ""
	case n > len(d.strings):
		t.Errorf("type %d: field %#x is string %d of %d", d.kind, off, n, len(d.strings))
		return ""
	}
	return d.strings[n-1]
}

// decode finds the table as Linux does, through the entry point, and takes it apart [SMBIOS §6].
func decode(t testing.TB, ps []Placement) []decoded {
	t.Helper()
	if len(ps) != 2 {
		t.Fatalf("%d placements", len(ps))
	}
	e, table := ps[0].Data, ps[1].Data
	var sum byte
	for _, c := range e {
		sum += c
	}
	if !bytes.HasPrefix(e, []byte("_SM3_")) || sum != 0 || len(e) != int(e[6]) || ps[0].Addr%16 != 0 {
		t.Fatalf("entry point at %#x: % x", ps[0].Addr, e)
	}
	if size, addr := le.Uint32(e[12:]), le.Uint64(e[16:]); int(size) != len(table) || addr != ps[1].Addr {
		t.Fatalf("entry point says %d bytes at %#x", size, addr)
	}
	var out []decoded
	for rest := table; ; {
		if len(rest) < 6 || int(rest[1]) < 4 || len(rest) < int(rest[1])+2 {
			t.Fatalf("structure cut off after %d structures: % x", len(out), rest)
		}
		d := decoded{kind: rest[0], handle: le.Uint16(rest[2:]), fields: rest[:rest[1]]}
		rest = rest[rest[1]:]
		end := bytes.Index(rest, []byte{0, 0})
		if end < 0 {
			t.Fatalf("type %d: strings do not end", d.kind)
		}
		if end > 0 {
			d.strings = strings.Split(string(rest[:end]), "\x00")
		}
		rest = rest[end+2:]
		out = append(out, d)
		if d.kind == 127 {
			if len(rest) != 0 {
				t.Fatalf("%d bytes after the end", len(rest))
			}
			return out
		}
	}
}

// dump is the golden form: bytes and text of every structure.
func dump(ps []Placement, ds []decoded) string {
	var b strings.Builder
	for _, p := range ps {
		fmt.Fprintf(&b, "%s: %d bytes at %#x\n", p.Name, len(p.Data), p.Addr)
	}
	fmt.Fprintf(&b, "\n% x\n", ps[0].Data)
	for _, d := range ds {
		fmt.Fprintf(&b, "\ntype %d, handle %#04x, %d bytes\n% x\n", d.kind, d.handle, len(d.fields), d.fields)
		for i, s := range d.strings {
			fmt.Fprintf(&b, "  %d: %q\n", i+1, s)
		}
	}
	return b.String()
}
