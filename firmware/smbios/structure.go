package smbios

import "encoding/binary"

var le = binary.LittleEndian

// structure is one SMBIOS structure under construction [SMBIOS §6.1]:
//
//	type u8, length u8, handle u16, fields; then strings, each ended by a NUL, and another NUL
//
// Fields refer to strings by number, from 1; 0 is no string.
type structure struct {
	fields  []byte
	strings []byte
	count   byte
}

func newStructure(kind byte, handle uint16) *structure {
	return &structure{fields: le.AppendUint16([]byte{kind, 0}, handle)}
}

func (s *structure) u8(vs ...byte) *structure { s.fields = append(s.fields, vs...); return s }
func (s *structure) u16(v uint16) *structure  { s.fields = le.AppendUint16(s.fields, v); return s }
func (s *structure) u32(v uint32) *structure  { s.fields = le.AppendUint32(s.fields, v); return s }
func (s *structure) u64(v uint64) *structure  { s.fields = le.AppendUint64(s.fields, v); return s }
func (s *structure) text(t string) *structure { return s.u8(s.string(t)) }
func (s *structure) texts(n int) *structure   { return s.u8(make([]byte, n)...) } // n strings that are not specified

// string adds t and returns its number.
func (s *structure) string(t string) byte {
	if t == "" {
		return 0
	}
	s.strings = append(append(s.strings, t...), 0)
	s.count++
	return s.count
}

// bytes returns the finished structure. Its length is checked against the specification's, in bytes.
func (s *structure) bytes(length byte) []byte {
	if len(s.fields) != int(length) {
		panic("BUG: smbios: structure has the wrong length")
	}
	s.fields[1] = length
	end := []byte{0}
	if s.count == 0 {
		end = []byte{0, 0}
	}
	return append(append(s.fields, s.strings...), end...)
}
