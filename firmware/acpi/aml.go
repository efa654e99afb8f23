package acpi

import (
	"encoding/binary"
	"strings"
)

var le = binary.LittleEndian

// term is one piece of AML, encoded [ACPI §20.2]. Functions below are named after the ASL operators that they encode.
// Their text arguments are constants of this package: a malformed one is a bug, not an error.
type term []byte

// AML opcodes [ACPI §20.3].
const (
	opZero             = 0x00
	opOne              = 0x01
	opName             = 0x08
	opByte             = 0x0a
	opWord             = 0x0b
	opDWord            = 0x0c
	opString           = 0x0d
	opQWord            = 0x0e
	opScope            = 0x10
	opBuffer           = 0x11
	opPackage          = 0x12
	opMethod           = 0x14
	opDualName         = 0x2e
	opMultiName        = 0x2f
	opExt              = 0x5b
	opLocal0           = 0x60
	opArg0             = 0x68
	opStore            = 0x70
	opAnd              = 0x7b
	opOr               = 0x7d
	opNotify           = 0x86
	opCreateDWordField = 0x8a
	opLNot             = 0x92
	opLEqual           = 0x93
	opIf               = 0xa0
	opReturn           = 0xa4
	opOnes             = 0xff

	extOpRegion = 0x80
	extField    = 0x81
	extDevice   = 0x82
)

// join returns the terms one after the other.
func join(ts ...term) term {
	var out term
	for _, t := range ts {
		out = append(out, t...)
	}
	return out
}

// op encodes an operator with its arguments.
func op(code byte, args ...term) term { return append(term{code}, join(args...)...) }

// pkgLengthMax is the first length that PkgLength cannot express: 4 + 3*8 bits [ACPI §20.2.4].
const pkgLengthMax = 1 << 28

// packed puts the PkgLength of body before it. The length counts itself [ACPI §20.2.4].
func packed(body term) term {
	for size := 1; ; size++ {
		// A length that fits the shorter form only without its own bytes takes the longer form.
		if enc := pkgLength(len(body) + size); len(enc) == size {
			return append(enc, body...)
		}
	}
}

// pkgLength encodes n in as few bytes as it takes.
func pkgLength(n int) term {
	switch {
	case n < 1<<6:
		return pkgLengthIn(n, 1)
	case n < 1<<12:
		return pkgLengthIn(n, 2)
	case n < 1<<20:
		return pkgLengthIn(n, 3)
	case n < pkgLengthMax:
		return pkgLengthIn(n, 4)
	}
	panic("BUG: acpi: AML length of 256 MiB")
}

// pkgLengthIn encodes n in size bytes.
//
//	1 byte:   00 nnnnnn
//	2 .. 4:   ss 00 nnnn  nnnnnnnn ...   ss = number of bytes that follow, low nibble of n first
func pkgLengthIn(n, size int) term {
	if size == 1 {
		return term{byte(n)}
	}
	out := term{byte(size-1)<<6 | byte(n&0xf)}
	for n >>= 4; len(out) < size; n >>= 8 {
		out = append(out, byte(n))
	}
	return out
}

// path encodes a NameString such as `\_SB.PCI0` [ACPI §20.2.2]. Segments shorter than 4 are filled with '_'.
func path(s string) term {
	var out term
	for len(s) > 0 && (s[0] == '\\' || s[0] == '^') {
		out, s = append(out, s[0]), s[1:]
	}
	segs := strings.Split(s, ".")
	switch len(segs) {
	case 1:
	case 2:
		out = append(out, opDualName)
	default:
		out = append(out, opMultiName, byte(len(segs)))
	}
	for _, seg := range segs {
		out = append(out, nameSeg(seg)...)
	}
	return out
}

// nameSeg encodes one segment: 4 characters, of which only the first may not be a digit.
func nameSeg(s string) term {
	const chars = "ABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789"
	if len(s) < 1 || len(s) > 4 || strings.Trim(s, chars) != "" || s[0] >= '0' && s[0] <= '9' {
		panic("BUG: acpi: AML name segment " + s)
	}
	return term(s + "____"[len(s):])
}

// integer encodes v in as few bytes as it takes.
func integer(v uint64) term {
	switch {
	case v == 0:
		return term{opZero}
	case v == 1:
		return term{opOne}
	case v == 1<<64-1:
		return term{opOnes}
	case v < 1<<8:
		return term{opByte, byte(v)}
	case v < 1<<16:
		return le.AppendUint16(term{opWord}, uint16(v))
	case v < 1<<32:
		return dword(uint32(v))
	}
	return le.AppendUint64(term{opQWord}, v)
}

// dword encodes v in 4 bytes, however small it is.
func dword(v uint32) term { return le.AppendUint32(term{opDWord}, v) }

// text encodes an ASCII string.
func text(s string) term {
	if strings.ContainsFunc(s, func(r rune) bool { return r == 0 || r > 0x7f }) {
		panic("BUG: acpi: AML string " + s)
	}
	return append(append(term{opString}, s...), 0)
}

// buffer encodes bytes.
func buffer(b []byte) term {
	return append(term{opBuffer}, packed(append(integer(uint64(len(b))), b...))...)
}

// pack encodes a Package of at most 255 elements.
func pack(elems ...term) term {
	if len(elems) > 255 {
		panic("BUG: acpi: AML package of more than 255 elements")
	}
	return append(term{opPackage}, packed(append(term{byte(len(elems))}, join(elems...)...))...)
}

// eisaID encodes an id like "PNP0A08": 3 letters of 5 bits and 4 hexadecimal digits, most significant byte first
// [ACPI §19.6.36].
func eisaID(id string) term {
	if len(id) != 7 {
		panic("BUG: acpi: EISA id " + id)
	}
	v := uint32(id[0]-'@')<<26 | uint32(id[1]-'@')<<21 | uint32(id[2]-'@')<<16
	for i, shift := 3, 12; i < 7; i, shift = i+1, shift-4 {
		v |= uint32(hexDigit(id[i])) << shift
	}
	return dword(v>>24 | v>>8&0xff00 | v<<8&0xff0000 | v<<24)
}

func hexDigit(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10
	}
	panic("BUG: acpi: hexadecimal digit " + string(c))
}

// uuid encodes ToUUID("aabbccdd-eeff-gghh-iijj-kkllmmnnoopp"): the first three groups little-endian [ACPI §19.6.142].
func uuid(s string) term {
	digits := strings.ReplaceAll(s, "-", "")
	if len(s) != 36 || len(digits) != 32 {
		panic("BUG: acpi: UUID " + s)
	}
	var b [16]byte
	for i, at := range [16]int{3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15} {
		b[i] = hexDigit(digits[2*at])<<4 | hexDigit(digits[2*at+1])
	}
	return buffer(b[:])
}

// Named objects.

func name(p string, value term) term { return op(opName, path(p), value) }

func scope(p string, body ...term) term {
	return append(term{opScope}, packed(append(path(p), join(body...)...))...)
}

func device(p string, body ...term) term {
	return append(term{opExt, extDevice}, packed(append(path(p), join(body...)...))...)
}

func createDWordField(buf term, off uint64, p string) term {
	return op(opCreateDWordField, buf, integer(off), path(p))
}

// serialize says whether several threads may be in a method at once.
type serialize byte

const (
	notSerialized serialize = 0
	serialized    serialize = 1 << 3 // needed by methods that create named objects [ACPI §5.5.2]
)

func method(p string, args int, s serialize, body ...term) term {
	head := append(path(p), byte(args)|byte(s))
	return append(term{opMethod}, packed(append(head, join(body...)...))...)
}

// space is an address space of operation regions and generic addresses [ACPI §5.2.3.2 table 5.1].
type space byte

const spaceIO space = 1

func operationRegion(p string, s space, base, size uint64) term {
	return join(term{opExt, extOpRegion}, path(p), term{byte(s)}, integer(base), integer(size))
}

// fieldUnit is a named run of bits; without a name the bits are skipped.
type fieldUnit struct {
	name string
	bits int
}

// byteFields encodes Field(region, ByteAcc, NoLock, WriteAsZeros) [ACPI §19.6.48].
func byteFields(region string, units ...fieldUnit) term {
	const byteAccess, writeAsZeros = 1, 2 << 5
	body := append(path(region), byteAccess|writeAsZeros)
	for _, u := range units {
		if u.name == "" {
			body = append(body, 0)
		} else {
			body = append(body, nameSeg(u.name)...)
		}
		body = append(body, pkgLength(u.bits)...) // a PkgLength that does not count itself
	}
	return append(term{opExt, extField}, packed(body)...)
}

// Expressions and statements. Arguments and locals are numbered from 0.

func arg(n int) term   { return term{opArg0 + byte(n)} }
func local(n int) term { return term{opLocal0 + byte(n)} }

func store(value, target term) term  { return op(opStore, value, target) }
func and(a, b, target term) term     { return op(opAnd, a, b, target) }
func or(a, b, target term) term      { return op(opOr, a, b, target) }
func equal(a, b term) term           { return op(opLEqual, a, b) }
func not(a term) term                { return op(opLNot, a) }
func notify(p string, v uint64) term { return op(opNotify, path(p), integer(v)) }
func ret(value term) term            { return op(opReturn, value) }

// nowhere is the target of a result that is only used in place.
func nowhere() term { return term{opZero} }

func when(cond term, body ...term) term {
	return append(term{opIf}, packed(append(cond[:len(cond):len(cond)], join(body...)...))...)
}
