package blk_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"testing"

	"github.com/husk-vm/husk/virtio"
	"github.com/husk-vm/husk/virtio/blk"
	"github.com/husk-vm/husk/virtio/virtiotest"
)

func TestRequests(t *testing.T) {
	const sectors = 64
	pattern := bytes.Repeat([]byte{0x5a, 0xa5}, 512)
	join := func(p ...[]byte) []byte { return slices.Concat(p...) }
	many := func(n int) (p []byte) {
		for range n {
			p = append(p, segment(1, 1, 0)...)
		}
		return p
	}
	for _, c := range []struct {
		name    string
		config  blk.Config
		without virtio.Features
		typ     uint32
		sector  uint64
		out     []byte
		in      int
		status  byte
		ops     []string
	}{
		{name: "read", typ: typeIn, sector: 3, in: 1024, ops: []string{"read 1536+1024"}},
		{name: "read nothing", typ: typeIn, sector: 64},
		{name: "read nothing beyond", typ: typeIn, sector: 65, status: ioErr},
		{name: "read to the end", typ: typeIn, sector: 62, in: 1024, ops: []string{"read 31744+1024"}},
		{name: "read over the end", typ: typeIn, sector: 63, in: 1024, status: ioErr},
		{name: "read half a sector", typ: typeIn, in: 256, status: ioErr},
		{name: "read one and a half", typ: typeIn, in: 768, status: ioErr},
		{name: "read wrapping", typ: typeIn, sector: 1<<55 + 1, in: 512, status: ioErr},
		{name: "read last of 2^64", typ: typeIn, sector: 1<<64 - 1, in: 512, status: ioErr},
		{name: "write", typ: typeOut, sector: 5, out: pattern, ops: []string{"write 2560+1024"}},
		{name: "write nothing", typ: typeOut},
		{name: "write over the end", typ: typeOut, sector: 63, out: pattern, status: ioErr},
		{name: "write part of a sector", typ: typeOut, out: pattern[:1000], status: ioErr},
		{name: "write to read-only", config: blk.Config{ReadOnly: true}, typ: typeOut, out: pattern, status: ioErr},
		{name: "read from read-only", config: blk.Config{ReadOnly: true}, typ: typeIn, in: 512, ops: []string{"read 0+512"}},
		{name: "write through", without: bitFlush | bitWCE, typ: typeOut, out: pattern, ops: []string{"write 0+1024", "sync 0+0"}},
		{name: "write through without flush", without: bitFlush, typ: typeOut, out: pattern, ops: []string{"write 0+1024", "sync 0+0"}},
		{name: "flush", typ: typeFlush, ops: []string{"sync 0+0"}},
		{name: "flush with a sector", typ: typeFlush, sector: 1 << 60, ops: []string{"sync 0+0"}},
		{name: "get id", typ: typeGetID, in: 20},
		{name: "get short id", typ: typeGetID, in: 3},
		{name: "discard", typ: typeDiscard, out: segment(8, 8, 0), ops: []string{"discard 4096+4096"}},
		{name: "discard two", typ: typeDiscard, out: join(segment(0, 1, 0), segment(63, 1, 0)), ops: []string{"discard 0+512", "discard 32256+512"}},
		{name: "discard nothing", typ: typeDiscard, out: segment(8, 0, 0)},
		{name: "discard without segments", typ: typeDiscard, status: ioErr},
		{name: "discard cut segment", typ: typeDiscard, out: segment(8, 8, 0)[:15], status: ioErr},
		{name: "discard most segments", typ: typeDiscard, out: many(16), ops: slices.Repeat([]string{"discard 512+512"}, 16)},
		{name: "discard too many segments", typ: typeDiscard, out: many(17), status: ioErr},
		{name: "discard over the end", typ: typeDiscard, out: segment(63, 2, 0), status: ioErr},
		{name: "discard wrapping", typ: typeDiscard, out: segment(1<<64-1, 2, 0), status: ioErr},
		{name: "discard all or none", typ: typeDiscard, out: join(segment(0, 1, 0), segment(64, 1, 0)), status: ioErr},
		{name: "discard with unmap", typ: typeDiscard, out: segment(8, 8, 1), status: unsupp},
		{name: "discard with unknown flag", typ: typeDiscard, out: segment(8, 8, 2), status: unsupp},
		{name: "discard not negotiated", without: bitDiscard, typ: typeDiscard, out: segment(8, 8, 0), status: unsupp},
		{name: "discard read-only", config: blk.Config{ReadOnly: true}, typ: typeDiscard, out: segment(8, 8, 0), status: ioErr},
		{name: "write zeroes", typ: typeWriteZeroes, out: segment(8, 8, 0), ops: []string{"zero 4096+4096"}},
		{name: "write zeroes, unmap", typ: typeWriteZeroes, out: segment(8, 8, 1), ops: []string{"unmap 4096+4096"}},
		{name: "write zeroes through", without: bitFlush, typ: typeWriteZeroes, out: segment(8, 8, 1), ops: []string{"unmap 4096+4096", "sync 0+0"}},
		{name: "write zeroes, unknown flag", typ: typeWriteZeroes, out: segment(8, 8, 3), status: unsupp},
		{name: "write zeroes not negotiated", without: bitWriteZeroes, typ: typeWriteZeroes, out: segment(8, 8, 0), status: unsupp},
		{name: "write zeroes read-only", config: blk.Config{ReadOnly: true}, typ: typeWriteZeroes, out: segment(8, 8, 0), status: ioErr},
		{name: "scsi", typ: 2, in: 512, status: unsupp},
		{name: "secure erase", typ: 14, out: segment(0, 1, 0), status: unsupp},
		{name: "unknown", typ: 0x8000_0000, out: pattern, status: unsupp},
	} {
		t.Run(c.name, func(t *testing.T) {
			disk := newMemDisk(sectors * 512)
			c.config.ID = "serial-0123456789abc"
			dev := newDisk(t, disk, c.config)
			want := bytes.Clone(disk.data)
			q := virtiotest.Start(t, dev, virtiotest.Options{Without: c.without}).Queue(0)
			data, st := do(q, c.typ, c.sector, c.out, c.in)
			if st != c.status {
				t.Errorf("status %d, want %d", st, c.status)
			}
			if ops := disk.log(); !slices.Equal(ops, c.ops) {
				t.Errorf("back end: %q, want %q", ops, c.ops)
			}
			off := int(c.sector * 512)
			switch {
			case c.status != ok:
			case c.typ == typeIn:
				if !bytes.Equal(data, want[off:off+c.in]) {
					t.Error("data differ")
				}
			case c.typ == typeGetID:
				if !bytes.Equal(data, []byte(c.config.ID)[:c.in]) {
					t.Errorf("id %q", data)
				}
			case c.typ == typeOut:
				copy(want[off:], c.out)
				if !bytes.Equal(disk.data, want) {
					t.Error("disk differs")
				}
			}
		})
	}
}

// hugeDisk has 1 TiB and notes what is discarded and zeroed.
type hugeDisk struct {
	quietDisk
	ops []string
}

func (d *hugeDisk) Size() int64 { return 1 << 40 }

func (d *hugeDisk) Discard(off, n int64) error {
	d.ops = append(d.ops, fmt.Sprintf("discard %d+%d", off, n))
	return nil
}

func (d *hugeDisk) WriteZeroes(off, n int64, _ bool) error {
	d.ops = append(d.ops, fmt.Sprintf("zero %d+%d", off, n))
	return nil
}

// TestSegmentLimits holds the device to the limits in its configuration space.
func TestSegmentLimits(t *testing.T) {
	disk := &hugeDisk{}
	d := virtiotest.Start(t, newDisk(t, disk, blk.Config{}), virtiotest.Options{})
	discard := binary.LittleEndian.Uint32(d.Config(36, 4))
	zero := binary.LittleEndian.Uint32(d.Config(48, 4))
	for _, c := range []struct {
		typ     uint32
		sectors uint32
		status  byte
	}{
		{typeDiscard, discard, ok},
		{typeDiscard, discard + 1, ioErr},
		{typeDiscard, 1<<32 - 1, ioErr},
		{typeWriteZeroes, zero, ok},
		{typeWriteZeroes, zero + 1, ioErr},
		{typeWriteZeroes, 1<<32 - 1, ioErr},
	} {
		if _, st := do(d.Queue(0), c.typ, 0, segment(7, c.sectors, 0), 0); st != c.status {
			t.Errorf("type %d, %d sectors: status %d, want %d", c.typ, c.sectors, st, c.status)
		}
	}
	want := []string{fmt.Sprintf("discard 3584+%d", 2<<30), fmt.Sprintf("zero 3584+%d", 128<<20)}
	if !slices.Equal(disk.ops, want) {
		t.Errorf("back end: %q, want %q", disk.ops, want)
	}
}

func TestID(t *testing.T) {
	for _, id := range []string{"", "abc", "exactly 20 bytes ok!"} {
		q := virtiotest.Start(t, newDisk(t, newMemDisk(512), blk.Config{ID: id}), virtiotest.Options{}).Queue(0)
		want := make([]byte, 20)
		copy(want, id)
		if got, st := do(q, typeGetID, 0, nil, 20); st != ok || !bytes.Equal(got, want) {
			t.Errorf("id %q: %q, status %d", id, got, st)
		}
	}
}

// TestUsedLength holds what the device says it wrote against the rule that it is data and status.
func TestUsedLength(t *testing.T) {
	q := virtiotest.Start(t, newDisk(t, newMemDisk(8*512), blk.Config{}), virtiotest.Options{}).Queue(0)
	for _, c := range []struct {
		name string
		in   int
		typ  uint32
		want uint32
	}{
		{"read", 1024, typeIn, 1025},
		{"failed read", 5120, typeIn, 1},
		{"flush", 0, typeFlush, 1},
		{"id", 40, typeGetID, 21},
	} {
		if r := q.Do(virtiotest.Out(header(c.typ, 0)), virtiotest.In(c.in), virtiotest.In(1)); r.Written != c.want {
			t.Errorf("%s: used length %d, want %d", c.name, r.Written, c.want)
		}
	}
}

func TestMultiQueue(t *testing.T) {
	const queues = 4
	disk := newMemDisk(queues * 64 * 512)
	dev := newDisk(t, disk, blk.Config{Queues: queues, QueueSize: 64})
	d := virtiotest.Start(t, dev, virtiotest.Options{})
	if d.Features&bitMQ == 0 {
		t.Fatal("VIRTIO_BLK_F_MQ is not offered")
	}
	for round := range 3 {
		for i := range queues {
			for j := range 16 {
				p := bytes.Repeat([]byte{byte(round*100 + i*16 + j)}, 1024)
				d.Queue(i).Add(virtiotest.Out(header(typeOut, uint64(i*64+j*2))), virtiotest.Out(p), virtiotest.In(1))
			}
			d.Queue(i).Kick()
		}
		for i := range queues {
			for range 16 {
				if r := d.Queue(i).Wait(); status(r) != ok {
					t.Fatalf("queue %d: status %d", i, status(r))
				}
			}
		}
	}
	for i := range queues {
		for j := range 16 {
			got, st := do(d.Queue((i+1)%queues), typeIn, uint64(i*64+j*2), nil, 1024)
			if st != ok || !bytes.Equal(got, bytes.Repeat([]byte{byte(200 + i*16 + j)}, 1024)) {
				t.Errorf("queue %d, request %d: status %d, first byte %#x", i, j, st, got[0])
			}
		}
	}
	want := blk.OpStats{Requests: 3 * queues * 16, Bytes: 3 * queues * 16 * 1024}
	if s := dev.Stats(); s.Write != want {
		t.Errorf("write counters %+v, want %+v", s.Write, want)
	}
}

func TestStats(t *testing.T) {
	dev := newDisk(t, newMemDisk(64*512), blk.Config{})
	q := virtiotest.Start(t, dev, virtiotest.Options{}).Queue(0)
	do(q, typeIn, 0, nil, 1024)
	do(q, typeIn, 64, nil, 512)
	do(q, typeOut, 0, make([]byte, 512), 0)
	do(q, typeFlush, 0, nil, 0)
	do(q, typeGetID, 0, nil, 20)
	do(q, typeDiscard, 0, append(segment(0, 2, 0), segment(9, 1, 0)...), 0)
	do(q, typeWriteZeroes, 0, segment(0, 4, 0), 0)
	do(q, typeWriteZeroes, 0, segment(0, 4, 8), 0)
	do(q, 99, 0, nil, 0)
	want := blk.Stats{
		Read:        blk.OpStats{Requests: 2, Bytes: 1024, Errors: 1},
		Write:       blk.OpStats{Requests: 1, Bytes: 512},
		Flush:       blk.OpStats{Requests: 1},
		GetID:       blk.OpStats{Requests: 1, Bytes: 20},
		Discard:     blk.OpStats{Requests: 1, Bytes: 1536},
		WriteZeroes: blk.OpStats{Requests: 2, Bytes: 2048, Errors: 1},
		Unsupported: 1,
	}
	if got := dev.Stats(); got != want {
		t.Errorf("counters\n%+v, want\n%+v", got, want)
	}
	if err := dev.LastError(); err != nil {
		t.Errorf("the guest's mistakes are no error of the back end: %v", err)
	}
}
