package virtiotest

import "encoding/binary"

// Source deals out fuzz data. When it is used up everything is 0.
type Source struct{ Data []byte }

// Byte takes one byte.
func (s *Source) Byte() byte {
	if len(s.Data) == 0 {
		return 0
	}
	b := s.Data[0]
	s.Data = s.Data[1:]
	return b
}

// Uint16, Uint32 and Uint64 take little-endian numbers.
func (s *Source) Uint16() uint16 { return uint16(s.Byte()) | uint16(s.Byte())<<8 }

// Uint32 takes four bytes.
func (s *Source) Uint32() uint32 { return uint32(s.Uint16()) | uint32(s.Uint16())<<16 }

// Uint64 takes eight bytes.
func (s *Source) Uint64() uint64 { return uint64(s.Uint32()) | uint64(s.Uint32())<<32 }

// Empty reports whether all data is used up.
func (s *Source) Empty() bool { return len(s.Data) == 0 }

// Mostly is a request as a good driver makes it, except that s may break one field of one descriptor, or the head: so a
// fuzzer gets past the first check that refuses it. It posts the chain and returns its head. Chains of a table are
// written from descriptor 0 on: nothing else may be in flight.
func (q *Queue) Mostly(s *Source, parts ...Part) uint16 {
	q.d.t.Helper()
	indirect := s.Byte()&1 != 0
	var ds []Desc
	var writable uint64
	if q.inFlight == 0 {
		q.arena.next = 0
	}
	for i, p := range parts {
		b := q.buffer(p)
		d := Desc{Addr: uint64(b.whole.Addr()) + canaryBytes, Len: uint32(b.n)}
		if b.in {
			d.Flags = DescWrite
			writable += b.n
		}
		if i+1 < len(parts) {
			d.Flags |= DescNext
			d.Next = uint16(i + 1)
		}
		ds = append(ds, d)
	}
	head := uint16(0)
	if what := s.Byte(); what >= 0x80 && len(ds) > 0 {
		head = breakOne(s, what, ds)
	}
	if indirect {
		r, err := q.arena.alloc(16 * uint64(len(ds)))
		q.must(err)
		q.SetTable(uint64(r.Addr()), ds...)
		ds = []Desc{{Addr: uint64(r.Addr()), Len: uint32(r.Len()), Flags: DescIndirect}}
		if what := s.Byte(); what >= 0xe0 {
			head = breakOne(s, what, ds)
		}
	}
	for i, d := range ds {
		if uint16(i) < q.Size {
			q.SetDesc(uint16(i), d)
		}
	}
	q.PostRaw(head, writable)
	return head
}

// breakOne changes one field and returns the head to post.
func breakOne(s *Source, what byte, ds []Desc) (head uint16) {
	d := &ds[int(s.Byte())%len(ds)]
	switch what % 6 {
	case 0:
		d.Addr = s.Uint64()
	case 1:
		d.Addr += uint64(s.Uint32())
	case 2:
		d.Len = s.Uint32()
	case 3:
		d.Flags ^= 1 << (s.Byte() % 16)
	case 4:
		d.Next = s.Uint16()
	case 5:
		return s.Uint16()
	}
	return 0
}

// Reference is what the spec says about a chain, read from guest memory by a program of its own: the readable and the
// writable pieces that are not empty, or false if a driver must not make such a chain [VIRTIO §2.7.5]. most is the
// greatest number of descriptors.
func (q *Queue) Reference(head, most uint16) (out, in []Desc, ok bool) {
	table, entries, i := uint64(q.Desc.Addr()), uint64(q.Size), uint64(head)
	inTable := false
	var total uint64
	for count := uint16(0); ; {
		if i >= entries {
			return nil, nil, false
		}
		r, err := q.d.Mem.Range(gpa(table+16*i), 16)
		if err != nil {
			return nil, nil, false
		}
		var b [16]byte
		q.must(r.Read(0, b[:]))
		d := Desc{
			Addr: binary.LittleEndian.Uint64(b[0:]), Len: binary.LittleEndian.Uint32(b[8:]),
			Flags: binary.LittleEndian.Uint16(b[12:]), Next: binary.LittleEndian.Uint16(b[14:]),
		}
		if d.Flags&DescIndirect != 0 {
			_, err := q.d.Mem.Range(gpa(d.Addr), uint64(d.Len))
			if inTable || d.Flags&DescNext != 0 || d.Len == 0 || d.Len%16 != 0 || d.Len/16 > uint32(most) || err != nil {
				return nil, nil, false
			}
			if count >= most { // its entries count, itself not
				return nil, nil, false
			}
			table, entries, i, inTable = d.Addr, uint64(d.Len/16), 0, true
			continue
		}
		if count++; count > most || !inTable && count > q.Size {
			return nil, nil, false
		}
		if d.Flags&DescWrite == 0 && len(in) > 0 {
			return nil, nil, false
		}
		if d.Len > 0 {
			if _, err := q.d.Mem.Range(gpa(d.Addr), uint64(d.Len)); err != nil {
				return nil, nil, false
			}
			if total += uint64(d.Len); total > 1<<32 {
				return nil, nil, false
			}
			if d.Flags&DescWrite != 0 {
				in = append(in, d)
			} else {
				out = append(out, d)
			}
		}
		if d.Flags&DescNext == 0 {
			return out, in, true
		}
		i = uint64(d.Next)
	}
}
