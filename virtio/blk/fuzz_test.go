package blk_test

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/husk-vm/husk/virtio"
	"github.com/husk-vm/husk/virtio/blk"
	"github.com/husk-vm/husk/virtio/virtiotest"
)

// script reads choices from fuzz bytes; at their end it chooses 0.
type script struct{ p []byte }

func (s *script) byte() int {
	if len(s.p) == 0 {
		return 0
	}
	b := s.p[0]
	s.p = s.p[1:]
	return int(b)
}

func (s *script) upTo(n int) int { return s.byte() % (n + 1) }

// rarely is true for one byte value in sixteen.
func (s *script) rarely() bool { return s.byte()%16 == 15 }

// model is a disk as the spec describes it, without rings.
type model struct {
	data     []byte
	readOnly bool
	dwz      bool // discard and write-zeroes were negotiated
	through  bool // writes are stable when they complete
	syncs    int
}

const fuzzID = "fuzz"

// do carries out a request on the model and returns status and data.
func (m *model) do(typ uint32, sector uint64, out []byte, in int) (st byte, data []byte) {
	inside := func(sector uint64, n int) bool {
		capacity := uint64(len(m.data) / 512)
		return n%512 == 0 && sector <= capacity && uint64(n/512) <= capacity-sector
	}
	switch typ {
	case typeIn:
		if !inside(sector, in) {
			return ioErr, nil
		}
		return ok, bytes.Clone(m.data[sector*512:][:in])
	case typeOut:
		if m.readOnly || !inside(sector, len(out)) {
			return ioErr, nil
		}
		copy(m.data[sector*512:], out)
		if m.through && len(out) > 0 {
			m.syncs++
		}
		return ok, nil
	case typeFlush:
		m.syncs++
		return ok, nil
	case typeGetID:
		id := make([]byte, 20)
		copy(id, fuzzID)
		return ok, id[:min(in, 20)]
	case typeDiscard, typeWriteZeroes:
		switch {
		case m.readOnly:
			return ioErr, nil
		case !m.dwz:
			return unsupp, nil
		}
		return m.segments(typ, out, inside), nil
	}
	return unsupp, nil
}

func (m *model) segments(typ uint32, out []byte, inside func(uint64, int) bool) byte {
	if len(out) == 0 || len(out)%16 != 0 || len(out)/16 > 16 {
		return ioErr
	}
	type piece struct {
		sector uint64
		n      int
	}
	var pieces []piece
	for ; len(out) > 0; out = out[16:] {
		p := piece{binary.LittleEndian.Uint64(out), int(binary.LittleEndian.Uint32(out[8:]))}
		flags := binary.LittleEndian.Uint32(out[12:])
		if flags > 1 || flags == 1 && typ == typeDiscard {
			return unsupp
		}
		if p.n > 1<<18 || !inside(p.sector, p.n*512) {
			return ioErr
		}
		pieces = append(pieces, p)
	}
	for _, p := range pieces {
		b := m.data[p.sector*512:][:p.n*512]
		for i := range b {
			b[i] = 0xdd // what memDisk makes of a discard
		}
		if typ == typeWriteZeroes {
			clear(b)
		}
	}
	if typ == typeWriteZeroes && m.through {
		m.syncs++
	}
	return ok
}

// request is one request of the script.
type request struct {
	typ    uint32
	sector uint64
	out    []byte
	in     int
}

func (s *script) request(sectors int) (r request) {
	r.typ = []uint32{typeIn, typeOut, typeIn, typeOut, typeFlush, typeGetID, typeDiscard, typeWriteZeroes}[s.upTo(7)]
	r.sector = uint64(s.upTo(sectors))
	if s.rarely() {
		r.typ ^= 1 << s.upTo(31)
	}
	if s.rarely() {
		r.sector ^= 1 << s.upTo(63)
	}
	switch r.typ {
	case typeIn:
		r.in = 512 * s.upTo(6)
	case typeOut:
		r.out = make([]byte, 512*s.upTo(6))
		for i := range r.out {
			r.out[i] = byte(len(s.p) + i/512*3 + i)
		}
	case typeGetID:
		r.in = 20
	case typeDiscard, typeWriteZeroes:
		for range 1 + s.upTo(2) {
			sector, n, flags := uint64(s.upTo(sectors)), uint32(s.upTo(4)), uint32(0)
			if s.rarely() {
				sector ^= 1 << s.upTo(63)
			}
			if s.rarely() {
				n ^= 1 << s.upTo(31)
			}
			if s.rarely() {
				flags ^= 1 << s.upTo(31)
			}
			r.out = append(r.out, segment(sector, n, flags)...)
		}
	}
	if s.rarely() {
		r.in += s.upTo(40)
	}
	if s.rarely() && len(r.out) > 0 {
		r.out = r.out[:len(r.out)-1-s.upTo(len(r.out)-1)]
	}
	return r
}

// parts splits a request into descriptors.
func (s *script) parts(r request) (parts []virtiotest.Part) {
	out := append(header(r.typ, r.sector), r.out...)
	for range s.upTo(3) {
		n := min(len(out), s.byte()*3)
		parts = append(parts, virtiotest.Out(out[:n]))
		out = out[n:]
	}
	parts = append(parts, virtiotest.Out(out))
	in := r.in + 1
	for range s.upTo(3) {
		n := min(in, s.byte()*3)
		parts = append(parts, virtiotest.In(n))
		in -= n
	}
	return append(parts, virtiotest.In(in))
}

// FuzzRequests drives a device with mostly valid requests, split anywhere, several at a time, and compares every answer
// and the disk with a model. Nothing beyond the capacity is touched, though the back end has more.
func FuzzRequests(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{0, 0, 3, 0, 1, 5, 0, 0, 2, 1, 2, 200, 100, 1, 40})
	f.Add([]byte{2, 1, 3, 1, 0, 0, 0, 2, 0, 0, 0, 4, 0, 0, 0, 0, 5, 6, 0, 0, 1, 3, 2, 0, 0, 0, 1, 1})
	f.Add([]byte{4, 2, 7, 3, 0, 0, 2, 1, 4, 0, 0, 0, 9, 1, 0, 0, 0, 15, 31, 6, 1, 15, 63, 0, 15, 15, 30})
	f.Add(bytes.Repeat([]byte{1, 0, 9, 0, 0, 6, 0, 0, 3, 1, 7, 80, 3, 0}, 20))
	f.Fuzz(func(t *testing.T, p []byte) {
		s := &script{p}
		const sectors = 24
		mode := s.byte()
		disk := newMemDisk(2 * sectors * 512)
		disk.size = sectors*512 + int64(mode)
		var b blk.Backend = disk
		if mode&1 != 0 {
			b = plain{disk}
		}
		config := blk.Config{ReadOnly: mode&2 != 0, QueueSize: 64, ID: fuzzID}
		var without virtio.Features
		if mode&4 != 0 {
			without |= bitFlush
		}
		if mode&8 != 0 {
			without |= bitDiscard | bitWriteZeroes
		}
		if mode&16 != 0 {
			without |= virtio.FeatureEventIdx
		}
		before := bytes.Clone(disk.data)
		m := &model{data: bytes.Clone(disk.data[:sectors*512]), readOnly: config.ReadOnly, dwz: mode&9 == 0, through: mode&4 != 0}
		dev := newDisk(t, b, config)
		q := virtiotest.Start(t, dev, virtiotest.Options{Without: without}).Queue(0)
		sent := 0
		for range 40 { // a bound for the time of one input
			if len(s.p) == 0 {
				break
			}
			var batch []request
			for range 1 + s.upTo(3) {
				r := s.request(sectors)
				batch = append(batch, r)
				if parts := s.parts(r); s.upTo(1) == 0 {
					q.Add(parts...)
				} else {
					q.AddIndirect(parts...)
				}
			}
			q.Kick()
			for i, r := range batch {
				sent++
				got := q.Wait()
				st, data := m.do(r.typ, r.sector, r.out, r.in)
				in := bytes.Join(got.In, nil)
				if in[len(in)-1] != st {
					t.Fatalf("request %d, %+v: status %d, want %d", i, r, in[len(in)-1], st)
				}
				if !bytes.Equal(in[:len(data)], data) || got.Written != uint32(len(data)+1) {
					t.Fatalf("request %d, %+v: %d bytes, want %d, or they differ", i, r, got.Written, len(data)+1)
				}
			}
		}
		if !bytes.Equal(disk.data[:sectors*512], m.data) {
			t.Fatal("the disk differs from the model")
		}
		if !bytes.Equal(disk.data[sectors*512:], before[sectors*512:]) || len(disk.strays) != 0 {
			t.Fatalf("bytes beyond the capacity were touched: %q", disk.strays)
		}
		syncs := 0
		for _, op := range disk.log() {
			if op == "sync 0+0" {
				syncs++
			}
		}
		if syncs != m.syncs {
			t.Fatalf("%d syncs, want %d", syncs, m.syncs)
		}
		c := dev.Stats()
		n := c.Read.Requests + c.Write.Requests + c.Flush.Requests + c.GetID.Requests + c.Discard.Requests +
			c.WriteZeroes.Requests + c.Unsupported
		if n != uint64(sent) || c.Broken != 0 {
			t.Fatalf("%d requests counted of %d, %d broken", n, sent, c.Broken)
		}
	})
}
