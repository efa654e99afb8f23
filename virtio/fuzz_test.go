package virtio_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/husk-vm/husk/internal/guestmem"
	"github.com/husk-vm/husk/virtio"
	"github.com/husk-vm/husk/virtio/virtiotest"
)

const fuzzRAM = 64 << 10

func fuzzProbe(t testing.TB, size uint16) (*probe, *virtiotest.Driver) {
	p := &probe{sizes: []uint16{size}}
	return p, virtiotest.Start(t, p, virtiotest.Options{Host: virtiotest.Host(t, fuzzRAM)})
}

// FuzzChain makes chains that are valid except for one field, or not even that, and compares Pop with a reference
// written from the spec; then it fills the writable part and compares all of RAM with what may have changed.
func FuzzChain(f *testing.F) {
	f.Add([]byte{0, 0, 0})
	f.Add([]byte{3, 1, 0x80, 1, 0xff, 0xff})             // an address
	f.Add([]byte{2, 0, 0x82, 0, 0xff, 0xff, 0xff, 0xff}) // a length
	f.Add([]byte{4, 0, 0x83, 1, 0})                      // a flag
	f.Add([]byte{4, 1, 0x84, 1, 0, 0})                   // a loop in a table
	f.Add([]byte{4, 0, 0x85, 1, 9, 0})                   // a head
	f.Add([]byte{1, 1, 0, 0xe2, 0, 0x11, 0, 0, 0})       // a table's length
	f.Fuzz(func(t *testing.T, data []byte) {
		const size = 8
		p, d := fuzzProbe(t, size)
		q, dq := p.a.Queues[0], d.Queue(0)
		s := &virtiotest.Source{Data: data}
		var parts []virtiotest.Part
		n := s.Byte()
		for range n % 5 {
			parts = append(parts, virtiotest.Out(bytes.Repeat([]byte{n}, int(s.Byte()))))
		}
		for range n / 5 % 5 {
			parts = append(parts, virtiotest.In(int(s.Byte())))
		}
		if len(parts) == 0 {
			parts = append(parts, virtiotest.In(1))
		}
		head := dq.Mostly(s, parts...)
		out, in, good := dq.Reference(head, size)
		want := []byte(picture(t, d.Mem))

		c, err := q.Pop()
		if good != (err == nil) {
			t.Fatalf("good %v, Pop: %v", good, err)
		}
		var guest *virtio.GuestError
		if err != nil {
			if !errors.As(err, &guest) {
				t.Fatalf("%v is no GuestError", err)
			}
			if picture(t, d.Mem) != string(want) {
				t.Fatal("a refused chain changed memory")
			}
			return
		}
		if c.Readable() != sum(out) || c.Writable() != sum(in) {
			t.Fatalf("%d, %d bytes, want %d, %d", c.Readable(), c.Writable(), sum(out), sum(in))
		}
		if got := gather(t, c); !bytes.Equal(got, pick(want, out)) {
			t.Fatalf("readable part is %x, want %x", got, pick(want, out))
		}
		for _, d := range in {
			copy(want[d.Addr:d.Addr+uint64(d.Len)], bytes.Repeat([]byte{'W'}, int(d.Len)))
		}
		fill := func(bufs [][]byte) error {
			for _, b := range bufs {
				copy(b, bytes.Repeat([]byte{'W'}, len(b)))
			}
			return nil
		}
		if err := c.WithWritable(0, c.Writable(), fill); err != nil {
			t.Fatal(err)
		}
		if picture(t, d.Mem) != string(want) {
			t.Fatal("memory outside of the writable part changed")
		}
		c.Release(uint32(c.Writable()))
		q.Flush()
	})
}

func sum(ds []virtiotest.Desc) (n uint64) {
	for _, d := range ds {
		n += uint64(d.Len)
	}
	return n
}

func pick(ram []byte, ds []virtiotest.Desc) (p []byte) {
	for _, d := range ds {
		p = append(p, ram[d.Addr:d.Addr+uint64(d.Len)]...)
	}
	return p
}

func gather(t testing.TB, c *virtio.Chain) []byte {
	t.Helper()
	p := make([]byte, c.Readable())
	if err := c.ReadAt(p, 0); err != nil {
		t.Fatal(err)
	}
	var lent []byte
	_ = c.WithReadable(0, c.Readable(), func(bufs [][]byte) error {
		lent = bytes.Join(bufs, nil)
		return nil
	})
	if !bytes.Equal(p, lent) {
		t.Fatalf("read %x, lent %x", p, lent)
	}
	return p
}

// FuzzQueue lets a driver write anything anywhere into its rings while the device pops, holds, releases and publishes in
// any order. Whatever happens: at most size chains are held, their pieces are no more than a queue's length and in RAM,
// the used index in memory is the number of chains published, and the first error is a GuestError and the last word.
func FuzzQueue(f *testing.F) {
	f.Add([]byte{0, 0, 0, 1, 0, 1, 2, 3})
	f.Add([]byte("\x04\x00\x00\x05\x00\x01\x01\x01\x02\x03\x02\x03"))
	f.Add([]byte("\x05\x02\xff\xff\x01\x02\x03"))
	f.Fuzz(func(t *testing.T, data []byte) {
		const size = 4
		p, d := fuzzProbe(t, size)
		q, dq := p.a.Queues[0], d.Queue(0)
		s := &virtiotest.Source{Data: data}
		var held []*virtio.Chain
		var failed error
		released, published := uint16(0), uint16(0)
		idx := uint16(0)
		for steps := 0; !s.Empty() && steps < 4096; steps++ {
			switch s.Byte() % 6 {
			case 0: // a descriptor
				i := s.Byte() % size
				dq.SetDesc(uint16(i), virtiotest.Desc{
					Addr: uint64(s.Uint16()), Len: uint32(s.Uint16()), Flags: uint16(s.Byte()), Next: uint16(s.Byte() % 8),
				})
			case 1:
				c, err := q.Pop()
				if failed != nil && err != failed {
					t.Fatalf("error %v, then %v", failed, err)
				}
				var guest *virtio.GuestError
				if err != nil && !errors.As(err, &guest) {
					t.Fatal(err)
				}
				failed = err
				if c != nil {
					held = append(held, c)
					pieces := 0
					count := func(bufs [][]byte) error { pieces += len(bufs); return nil }
					_ = c.WithReadable(0, c.Readable(), count)
					_ = c.WithWritable(0, c.Writable(), count)
					if pieces > size || len(held) > size {
						t.Fatalf("%d pieces, %d chains held", pieces, len(held))
					}
				}
			case 2:
				if len(held) > 0 {
					i := int(s.Byte()) % len(held)
					held[i].Release(uint32(held[i].Writable()))
					held = append(held[:i], held[i+1:]...)
					released++
				}
			case 3:
				q.Flush()
				if failed == nil {
					published = released
				}
				if got := load16(t, dq.Used, 2); got != published && failed == nil {
					t.Fatalf("used index %d, %d chains published", got, published)
				}
			case 4:
				store16(t, dq.Avail, 4+2*uint64(s.Byte()%size), uint16(s.Byte()%8))
				idx++
				store16(t, dq.Avail, 2, idx)
			case 5:
				off := uint64(s.Byte()) % (dq.Avail.Len() / 2) * 2
				v := s.Uint16()
				store16(t, dq.Avail, off, v)
				if off == 2 {
					idx = v
				}
			}
		}
	})
}

// TestDoubleFetch rewrites everything the driver wrote, after Pop: the chain is what it was.
func TestDoubleFetch(t *testing.T) {
	for _, indirect := range []bool{false, true} {
		q, dq, d := startProbe(t, 8, 0)
		if indirect {
			dq.AddIndirect(virtiotest.Out([]byte("abc")), virtiotest.In(5))
		} else {
			dq.Add(virtiotest.Out([]byte("abc")), virtiotest.In(5))
		}
		var first [16]byte
		head := load16(t, dq.Avail, 4)
		if err := dq.Desc.Read(16*uint64(head), first[:]); err != nil {
			t.Fatal(err)
		}
		c, err := q.Pop()
		if err != nil {
			t.Fatal(err)
		}
		garbage := bytes.Repeat([]byte{0xff}, int(dq.Desc.Len()))
		if err := dq.Desc.Write(0, garbage); err != nil {
			t.Fatal(err)
		}
		if indirect {
			table, err := d.Mem.Range(guestmem.GPA(uint64(first[0])|uint64(first[1])<<8|uint64(first[2])<<16), 32)
			if err != nil {
				t.Fatal(err)
			}
			if err := table.Write(0, garbage[:32]); err != nil {
				t.Fatal(err)
			}
		}
		if got := string(gather(t, c)); got != "abc" {
			t.Errorf("%q", got)
		}
		if err := c.WriteAt([]byte("defgh"), 0); err != nil {
			t.Error(err)
		}
		c.Release(5)
		q.Flush()
		if r, ok := dq.Take(); !ok || r.Head != head || string(r.Bytes()) != "defgh" {
			t.Errorf("%+v", r)
		}
	}
}

// TestFlippingDescriptors lets another CPU change descriptors all the time, between a good and a bad one: each chain is
// one or the other, never a mixture that reaches outside of RAM.
func TestFlippingDescriptors(t *testing.T) {
	p := &probe{sizes: []uint16{4}}
	d := virtiotest.Start(t, p, virtiotest.Options{})
	dq := d.Queue(0)
	stop, stopped := make(chan struct{}), make(chan struct{})
	defer func() { close(stop); <-stopped }()
	go func() {
		defer close(stopped)
		for i := uint32(0); ; i++ {
			select {
			case <-stop:
				return
			default:
				// Whole words, as a CPU does it: length 16 at buf, or 32 bytes of which only 16 are RAM.
				_ = dq.Desc.Store32(8, 16+16*(i&1))
			}
		}
	}()
	dq.SetDesc(0, virtiotest.Desc{Addr: ram - 16, Len: 16, Flags: fW})
	good, bad := 0, 0
	for i := 0; i < 20000 && (good == 0 || bad == 0 || i < 2000); i++ {
		store16(t, dq.Avail, 4+2*uint64(load16(t, dq.Avail, 2)%4), 0)
		store16(t, dq.Avail, 2, load16(t, dq.Avail, 2)+1)
		q := p.a.Queues[0]
		c, err := q.Pop()
		if err != nil {
			bad++
			d.Negotiate(0)
			cfgAgain(d, 4)
			store16(t, dq.Avail, 2, 0)
			continue
		}
		good++
		if c.Writable() != 16 {
			t.Fatalf("%d bytes", c.Writable())
		}
		if err := c.WriteAt(make([]byte, 16), 0); err != nil {
			t.Fatal(err)
		}
		c.Release(16)
		q.Flush()
	}
	t.Logf("%d good, %d bad", good, bad)
}
