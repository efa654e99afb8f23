package virtio_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/husk-vm/husk/internal/guestmem"
	"github.com/husk-vm/husk/virtio"
	"github.com/husk-vm/husk/virtio/virtiotest"
)

const (
	fN = virtiotest.DescNext
	fW = virtiotest.DescWrite
	fI = virtiotest.DescIndirect

	ram = 16 << 20 // what virtiotest.Host gives
	buf = ram - 0x10000
	tab = ram - 0x20000 // indirect tables
)

// TestChains shows every rule about descriptors: what becomes a chain, and what breaks the queue, and why.
func TestChains(t *testing.T) {
	type list = []virtiotest.Desc
	d := func(addr uint64, n uint32, flags, next uint16) virtiotest.Desc {
		return virtiotest.Desc{Addr: addr, Len: n, Flags: flags, Next: next}
	}
	for _, tt := range []struct {
		name    string
		descs   list // of the table, size 4
		table   list // at tab
		head    uint16
		without virtio.Features
		r, w    uint64
		bad     string // part of the error, "" for a good chain
	}{
		{name: "one readable", descs: list{d(buf, 10, 0, 0)}, r: 10},
		{name: "one writable", descs: list{d(buf, 10, fW, 0)}, w: 10},
		{name: "next is ignored without its flag", descs: list{d(buf, 10, 0, 99)}, r: 10},
		{name: "unknown flags are ignored", descs: list{d(buf, 10, 0xfff8, 0)}, r: 10},
		{name: "all four", descs: list{d(buf, 1, fN, 1), d(buf, 2, fN, 2), d(buf, 3, fN|fW, 3), d(buf, 4, fW, 0)}, r: 3, w: 7},
		{name: "backwards", descs: list{d(buf, 1, fW, 0), d(buf, 2, fN, 0)}, head: 1, r: 2, w: 1},
		{name: "zero length", descs: list{d(buf, 0, 0, 0)}},
		{name: "zero length anywhere", descs: list{d(^uint64(0), 0, fN, 1), d(buf, 2, fN, 2), d(0, 0, fN|fW, 3), d(buf, 1, fW, 0)}, r: 2, w: 1},
		{name: "last byte of RAM", descs: list{d(ram-1, 1, 0, 0)}, r: 1},
		{name: "overlapping buffers", descs: list{d(buf, 16, fN, 1), d(buf, 16, fW, 0)}, r: 16, w: 16},
		{name: "buffer is the ring itself", descs: list{d(guestmem.PageSize, 64, fW, 0)}, w: 64},

		{name: "head outside", descs: list{d(buf, 1, 0, 0)}, head: 4, bad: "head 4 of 4"},
		{name: "head far outside", head: 65535, bad: "head 65535 of 4"},
		{name: "next outside", descs: list{d(buf, 1, fN, 4)}, bad: "next 4 of 4"},
		{name: "next far outside", descs: list{d(buf, 1, fN, 65535)}, bad: "next 65535 of 4"},
		{name: "self loop", descs: list{d(buf, 1, fN, 0)}, bad: "more than 4 descriptors"},
		{name: "self loop of nothing (CVE-2023-5158)", descs: list{d(buf, 0, fN, 0)}, bad: "more than 4 descriptors"},
		{name: "loop of two", descs: list{d(buf, 1, fN, 1), d(buf, 1, fN, 0)}, bad: "more than 4 descriptors"},
		{name: "loop at the end", descs: list{d(buf, 1, fN, 1), d(buf, 1, fN, 2), d(buf, 1, fN, 3), d(buf, 1, fN, 3)}, bad: "more than 4 descriptors"},
		{name: "readable after writable", descs: list{d(buf, 1, fN|fW, 1), d(buf, 1, 0, 0)}, bad: "readable after writable"},
		{name: "starts beyond RAM", descs: list{d(ram, 1, 0, 0)}, bad: "outside of RAM"},
		{name: "ends beyond RAM (CVE-2019-18960)", descs: list{d(ram-1, 2, 0, 0)}, bad: "outside of RAM"},
		{name: "longest, from the last byte", descs: list{d(ram-1, 0xffffffff, fW, 0)}, bad: "outside of RAM"},
		{name: "address wraps", descs: list{d(^uint64(0), 2, 0, 0)}, bad: "outside of RAM"},
		{name: "address wraps to RAM", descs: list{d(^uint64(0)-0xfff, 0x2000, fW, 0)}, bad: "outside of RAM"},
		{name: "in an MMIO hole", descs: list{d(0xfee00000, 4, fW, 0)}, bad: "outside of RAM"},

		{name: "indirect", descs: list{d(tab, 32, fI, 0)}, table: list{d(buf, 5, fN, 1), d(buf, 6, fW, 0)}, r: 5, w: 6},
		{name: "write flag of an indirect descriptor is ignored", descs: list{d(tab, 16, fI|fW, 0)}, table: list{d(buf, 5, 0, 0)}, r: 5},
		{name: "indirect at the end of a chain", descs: list{d(buf, 7, fN, 1), d(tab, 32, fI, 0)}, table: list{d(buf, 5, fN, 1), d(buf, 6, fW, 0)}, r: 12, w: 6},
		{name: "indirect table backwards", descs: list{d(tab, 48, fI, 0)}, table: list{d(buf, 1, fN, 2), d(buf, 4, fW, 0), d(buf, 2, fN, 1)}, r: 3, w: 4},
		{name: "indirect, not aligned", descs: list{d(tab+1, 16, fI, 0)}, r: 0},
		{name: "indirect of nothing", descs: list{d(tab, 0, fI, 0)}, bad: "indirect table: 0 bytes"},
		{name: "indirect, half an entry", descs: list{d(tab, 24, fI, 0)}, bad: "indirect table: 24 bytes"},
		{name: "indirect too long", descs: list{d(tab, 16*5, fI, 0)}, bad: "indirect table: 80 bytes"},
		{name: "indirect longest", descs: list{d(tab, 0xfffffff0, fI, 0)}, bad: "indirect table: 4294967280 bytes"},
		{name: "indirect with next", descs: list{d(tab, 16, fI|fN, 0)}, table: list{d(buf, 5, 0, 0)}, bad: "with a next descriptor"},
		{name: "indirect beyond RAM", descs: list{d(ram-16, 32, fI, 0)}, bad: "outside of RAM"},
		{name: "indirect inside of indirect", descs: list{d(tab, 16, fI, 0)}, table: list{d(tab, 16, fI, 0)}, bad: "inside of an indirect table"},
		{name: "indirect loop", descs: list{d(tab, 16, fI, 0)}, table: list{d(buf, 1, fN, 0)}, bad: "more than 4 descriptors"},
		{name: "next in a table outside of it", descs: list{d(tab, 16, fI, 0)}, table: list{d(buf, 1, fN, 1)}, bad: "next 1 of 1"},
		{name: "more than the queue in all", descs: list{d(buf, 1, fN, 1), d(tab, 64, fI, 0)}, table: list{d(buf, 1, fN, 1), d(buf, 1, fN, 2), d(buf, 1, fN, 3), d(buf, 1, 0, 0)}, bad: "more than 4 descriptors"},
		{name: "order across the table's edge", descs: list{d(buf, 1, fN|fW, 1), d(tab, 16, fI, 0)}, table: list{d(buf, 1, 0, 0)}, bad: "readable after writable"},
		{name: "indirect, not negotiated", descs: list{d(tab, 16, fI, 0)}, table: list{d(buf, 1, 0, 0)}, without: virtio.FeatureIndirectDesc, bad: "not negotiated"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			q, dq, _ := startProbe(t, 4, tt.without)
			for i, desc := range tt.descs {
				dq.SetDesc(uint16(i), desc)
			}
			dq.SetTable(tab, tt.table...)
			dq.PostRaw(tt.head, tt.w)
			c, err := q.Pop()
			if tt.bad != "" {
				var guest *virtio.GuestError
				if !errors.As(err, &guest) || !strings.Contains(err.Error(), tt.bad) {
					t.Fatalf("err %v, want %q", err, tt.bad)
				}
				if c, again := q.Pop(); c != nil || again != err {
					t.Errorf("a broken queue gave %v, %v", c, again)
				}
				if q.Wait() {
					t.Error("Wait on a broken queue returned true")
				}
				if n := q.Counters(); n.Errors != 1 || n.Chains != 0 {
					t.Errorf("counters %+v", n)
				}
				return
			}
			if err != nil || c == nil {
				t.Fatalf("Pop: %v, %v", c, err)
			}
			if c.Readable() != tt.r || c.Writable() != tt.w {
				t.Errorf("%d readable, %d writable, want %d, %d", c.Readable(), c.Writable(), tt.r, tt.w)
			}
			c.Release(uint32(tt.w))
			q.Flush()
			if r := dq.Wait(); r.Head != tt.head || r.Written != uint32(tt.w) {
				t.Errorf("used %+v", r)
			}
		})
	}
}

// TestChainOver4GiB needs that much address space, not memory: the limit is on the sum [VIRTIO §2.7.5.2].
func TestChainOver4GiB(t *testing.T) {
	mem, err := guestmem.New([]guestmem.Region{{Base: 0, Size: 16 << 20}, {Base: 1 << 32, Size: 4 << 30}})
	if err != nil {
		t.Skipf("no address space: %v", err)
	}
	defer mem.Close()
	for _, tt := range []struct {
		name string
		lens []uint32
		ok   bool
	}{
		{"4 GiB", []uint32{1 << 31, 1 << 31}, true},
		{"one byte more", []uint32{1 << 31, 1 << 31, 1}, false},
		{"nearly twice", []uint32{0xffffffff, 0xffffffff}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := &probe{sizes: []uint16{4}}
			d := virtiotest.Start(t, p, virtiotest.Options{Host: virtio.Host{Memory: mem, Doorbells: &virtiotest.Doorbells{}}})
			for i, n := range tt.lens {
				flags := uint16(fN)
				if i == len(tt.lens)-1 {
					flags = 0
				}
				d.Queue(0).SetDesc(uint16(i), virtiotest.Desc{Addr: 1 << 32, Len: n, Flags: flags, Next: uint16(i + 1)})
			}
			d.Queue(0).PostRaw(0, 0)
			c, err := p.a.Queues[0].Pop()
			if tt.ok != (err == nil) {
				t.Fatalf("Pop: %v", err)
			}
			if tt.ok {
				if c.Readable() != 1<<32 {
					t.Errorf("%d bytes", c.Readable())
				}
				c.Release(0)
			}
		})
	}
}

// TestIndirectLongerThanQueue: Linux makes indirect tables as long as the device's greatest queue, even on a queue that
// it made shorter.
func TestIndirectLongerThanQueue(t *testing.T) {
	q, dq, _ := startProbeMax(t, 2, 16, 0)
	var parts []virtiotest.Part
	for range 16 {
		parts = append(parts, virtiotest.In(3))
	}
	dq.AddIndirect(parts...)
	c, err := q.Pop()
	if err != nil || c.Writable() != 48 {
		t.Fatalf("Pop: %+v, %v", c, err)
	}
	c.Release(48)
	dq.SetDesc(0, virtiotest.Desc{Addr: tab, Len: 17 * 16, Flags: fI})
	dq.PostHead(0)
	if _, err := q.Pop(); err == nil {
		t.Error("17 entries were taken")
	}
}

// TestChainAccess reads, writes and lends every part of a chain of uneven pieces and compares with a flat model.
func TestChainAccess(t *testing.T) {
	const text = "abcdefghijkl"
	q, dq, _ := startProbe(t, 16, 0)
	post := func() *virtio.Chain {
		t.Helper()
		dq.Add(virtiotest.Out([]byte(text[:1])), virtiotest.Out([]byte(text[1:6])), virtiotest.Out(nil), virtiotest.Out([]byte(text[6:])),
			virtiotest.In(2), virtiotest.In(0), virtiotest.In(7), virtiotest.In(3))
		c, err := q.Pop()
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	for off := uint64(0); off <= 13; off++ {
		for n := uint64(0); n <= 13; n++ {
			c := post()
			got := make([]byte, n)
			err := c.ReadAt(got, off)
			if fits := off+n <= 12; fits != (err == nil) || fits && string(got) != text[off:off+n] {
				t.Fatalf("ReadAt %d+%d: %q, %v", off, n, got, err)
			}
			var lent []byte
			err = c.WithReadable(off, n, func(bufs [][]byte) error {
				for _, b := range bufs {
					lent = append(lent, b...)
				}
				return nil
			})
			if fits := off+n <= 12; fits != (err == nil) || fits && string(lent) != text[off:off+n] {
				t.Fatalf("WithReadable %d+%d: %q, %v", off, n, lent, err)
			}
			want := strings.Repeat("\xee", 12)
			if off+n <= 12 {
				want = want[:off] + strings.Repeat("X", int(n)) + want[off+n:]
			}
			if n%2 == 0 {
				err = c.WriteAt([]byte(strings.Repeat("X", int(n))), off)
			} else {
				err = c.WithWritable(off, n, func(bufs [][]byte) error {
					for _, b := range bufs {
						for i := range b {
							b[i] = 'X'
						}
					}
					return nil
				})
			}
			if fits := off+n <= 12; fits != (err == nil) {
				t.Fatalf("write %d+%d: %v", off, n, err)
			}
			var guest *virtio.GuestError
			if err != nil && !errors.As(err, &guest) {
				t.Fatalf("write %d+%d: %v is no GuestError", off, n, err)
			}
			c.Release(12)
			q.Flush()
			if r := dq.Wait(); string(r.Bytes()) != want {
				t.Fatalf("write %d+%d: guest has %q, want %q", off, n, r.Bytes(), want)
			}
		}
	}
	c := post()
	for _, off := range []uint64{1 << 63, ^uint64(0), ^uint64(0) - 3} {
		if c.ReadAt(make([]byte, 4), off) == nil || c.WriteAt(make([]byte, 4), off) == nil ||
			c.WithReadable(4, off, nil) == nil || c.WithWritable(off, 4, nil) == nil {
			t.Errorf("offset %#x was accepted", off)
		}
	}
}

// TestNestedLends: an inner lend must not disturb the outer one's slices, and an error comes back as it was.
func TestNestedLends(t *testing.T) {
	q, dq, _ := startProbe(t, 8, 0)
	dq.Add(virtiotest.Out([]byte("ab")), virtiotest.Out([]byte("cd")), virtiotest.In(1), virtiotest.In(3))
	c, err := q.Pop()
	if err != nil {
		t.Fatal(err)
	}
	mine := errors.New("mine")
	err = c.WithReadable(0, 4, func(in [][]byte) error {
		err := c.WithWritable(0, 4, func(out [][]byte) error {
			if err := c.WithReadable(1, 2, func(again [][]byte) error {
				if fmt.Sprintf("%s", again) != "[b c]" {
					t.Errorf("third: %s", again)
				}
				return mine
			}); err != mine {
				t.Errorf("third: %v", err)
			}
			copy(out[0], in[0])
			copy(out[1], in[1])
			return nil
		})
		if fmt.Sprintf("%s", in) != "[ab cd]" {
			t.Errorf("outer: %s", in)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	c.Release(4)
	q.Flush()
	if r := dq.Wait(); string(r.Bytes()) != "acd\xee" {
		t.Errorf("guest has %q", r.Bytes())
	}
}

func TestReleaseBugs(t *testing.T) {
	q, dq, _ := startProbe(t, 4, 0)
	dq.Add(virtiotest.In(4))
	c, err := q.Pop()
	if err != nil {
		t.Fatal(err)
	}
	for _, written := range []uint32{5, 4, 0} { // too much; right; again
		func() {
			defer func() {
				if v := recover(); (v != nil) != (written != 4) {
					t.Errorf("Release(%d): %v", written, v)
				}
			}()
			c.Release(written)
		}()
	}
}
