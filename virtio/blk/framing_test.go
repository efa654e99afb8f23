package blk_test

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/husk-vm/husk/internal/guestmem"
	"github.com/husk-vm/husk/virtio"
	"github.com/husk-vm/husk/virtio/blk"
	"github.com/husk-vm/husk/virtio/virtiotest"
)

// cutOut and cutIn split a part of a request into descriptors, empty ones among them.
func cutOut(rnd *rand.Rand, p []byte, pieces int) (parts []virtiotest.Part) {
	for range pieces - 1 {
		n := rnd.IntN(len(p) + 1)
		parts = append(parts, virtiotest.Out(p[:n]))
		p = p[n:]
	}
	return append(parts, virtiotest.Out(p))
}

func cutIn(rnd *rand.Rand, n, pieces int) (parts []virtiotest.Part) {
	for range pieces - 1 {
		k := rnd.IntN(n + 1)
		parts = append(parts, virtiotest.In(k))
		n -= k
	}
	return append(parts, virtiotest.In(n))
}

// TestFraming reads and writes with headers, data and status split anywhere [VIRTIO §2.7.4.1].
func TestFraming(t *testing.T) {
	const size = 64 * 512
	for name, hide := range map[string]bool{"vectors": false, "one by one": true} {
		t.Run(name, func(t *testing.T) {
			disk := newMemDisk(size)
			var b blk.Backend = disk
			if hide {
				b = plain{disk}
			}
			q := virtiotest.Start(t, newDisk(t, b, blk.Config{}), virtiotest.Options{}).Queue(0)
			want := bytes.Clone(disk.data)
			rnd := rand.New(rand.NewPCG(1, 2))
			for i := range 2000 {
				sector := rnd.IntN(64)
				n := (1 + rnd.IntN(min(8, 64-sector))) * 512
				add := q.Add
				if i%2 == 1 {
					add = q.AddIndirect
				}
				if rnd.IntN(2) == 0 {
					data := make([]byte, n)
					for i := range data {
						data[i] = byte(rnd.Uint32())
					}
					parts := cutOut(rnd, append(header(typeOut, uint64(sector)), data...), 1+rnd.IntN(9))
					add(append(parts, cutIn(rnd, 1, 1+rnd.IntN(3))...)...)
					copy(want[sector*512:], data)
				} else {
					parts := cutOut(rnd, header(typeIn, uint64(sector)), 1+rnd.IntN(4))
					add(append(parts, cutIn(rnd, n+1, 1+rnd.IntN(9))...)...)
				}
				q.Kick()
				r := q.Wait()
				got := bytes.Join(r.In, nil)
				if st := got[len(got)-1]; st != ok {
					t.Fatalf("request %d: status %d", i, st)
				}
				if got := got[:len(got)-1]; len(got) > 0 && !bytes.Equal(got, want[sector*512:sector*512+n]) {
					t.Fatalf("request %d: data differ", i)
				}
			}
			if !bytes.Equal(disk.data, want) {
				t.Error("disk differs")
			}
		})
	}
}

// TestOneByteDescriptors makes the longest chain of the shortest descriptors.
func TestOneByteDescriptors(t *testing.T) {
	const length = 1024 // of the queue and of the chain
	disk := newMemDisk(8 * 512)
	dev := newDisk(t, disk, blk.Config{QueueSize: length})
	q := virtiotest.Start(t, dev, virtiotest.Options{}).Queue(0)
	var parts []virtiotest.Part
	for _, b := range header(typeIn, 2) {
		parts = append(parts, virtiotest.Out([]byte{b}))
	}
	for range 512 + 1 {
		parts = append(parts, virtiotest.In(1))
	}
	for len(parts) < length {
		parts = append(parts[:16:16], append([]virtiotest.Part{virtiotest.In(0)}, parts[16:]...)...)
	}
	r := q.Do(parts...)
	if got := bytes.Join(r.In, nil); got[512] != ok || !bytes.Equal(got[:512], disk.data[1024:1536]) {
		t.Errorf("status %d, data % x…", got[512], got[:8])
	}

	parts = nil
	for _, b := range append(header(typeOut, 5), bytes.Repeat([]byte{0x77}, 512)...) {
		parts = append(parts, virtiotest.Out([]byte{b}))
	}
	if r := q.Do(append(parts, virtiotest.In(1))...); status(r) != ok {
		t.Errorf("write: status %d", status(r))
	}
	if !bytes.Equal(disk.data[2560:3072], bytes.Repeat([]byte{0x77}, 512)) {
		t.Error("write: disk differs")
	}
}

// desc is a descriptor written by hand.
type desc struct {
	addr  guestmem.GPA
	n     uint32
	write bool
}

// post makes a chain of hand-written descriptors available, in table entries 0 and up, and kicks.
func post(t *testing.T, q *virtiotest.Queue, descs ...desc) {
	t.Helper()
	for i, d := range descs {
		flags := uint16(0)
		if i+1 < len(descs) {
			flags |= 1
		}
		if d.write {
			flags |= 2
		}
		var p [16]byte
		virtiotest.PutDesc(p[:], uint64(d.addr), d.n, flags, uint16(i+1))
		if err := q.Desc.Write(uint64(16*i), p[:]); err != nil {
			t.Fatal(err)
		}
	}
	q.PostHead(0)
	q.Kick()
}

// used waits until the device has used n chains. The driver must be one that gets every interrupt.
func used(t *testing.T, d *virtiotest.Driver, q *virtiotest.Queue, n uint16) {
	t.Helper()
	for {
		idx, err := q.Used.Load16(2)
		if err != nil {
			t.Fatal(err)
		}
		if idx == n {
			return
		}
		<-d.Transport.Interrupt(q.Index)
	}
}

// TestSharedMemory uses the same bytes of guest memory in several roles. What the guest then finds is its own affair,
// but the answer comes, and the device works on.
func TestSharedMemory(t *testing.T) {
	disk := newMemDisk(64 * 512)
	d := virtiotest.Start(t, newDisk(t, disk, blk.Config{}), virtiotest.Options{Without: virtio.FeatureEventIdx})
	q := d.Queue(0)
	ram := d.Alloc(4*4096, 4096)
	base := ram.Addr()
	write := func(off uint64, p []byte) {
		if err := ram.Write(off, p); err != nil {
			t.Fatal(err)
		}
	}
	read := func(off uint64, n int) []byte {
		p := make([]byte, n)
		if err := ram.Read(off, p); err != nil {
			t.Fatal(err)
		}
		return p
	}

	// A header across two pages.
	write(4096-5, header(typeIn, 1))
	post(t, q, desc{base + 4096 - 5, 16, false}, desc{base + 8192, 512, true}, desc{base + 12288, 1, true})
	used(t, d, q, 1)
	if got := read(8192, 512); !bytes.Equal(got, disk.data[512:1024]) || read(12288, 1)[0] != ok {
		t.Error("header across two pages: data differ")
	}

	// The status in the middle of the data: the status is written last.
	write(0, header(typeIn, 2))
	post(t, q, desc{base, 16, false}, desc{base + 8192, 512, true}, desc{base + 8192 + 100, 1, true})
	used(t, d, q, 2)
	want := bytes.Clone(disk.data[1024:1536])
	want[100] = ok
	if !bytes.Equal(read(8192, 512), want) {
		t.Error("status within the data: data differ")
	}

	// The data on top of the header, and the status on top of both: the header was copied before.
	write(0, header(typeIn, 3))
	post(t, q, desc{base, 16, false}, desc{base, 512, true}, desc{base, 1, true})
	used(t, d, q, 3)
	want = bytes.Clone(disk.data[1536:2048])
	want[0] = ok
	if !bytes.Equal(read(0, 512), want) {
		t.Error("data over the header: data differ")
	}

	// The same piece eight times.
	write(0, header(typeIn, 0))
	chain := []desc{{base, 16, false}}
	for range 8 {
		chain = append(chain, desc{base + 8192, 512, true})
	}
	post(t, q, append(chain, desc{base + 12288, 1, true})...)
	used(t, d, q, 4)
	if !bytes.Equal(read(8192, 512), disk.data[7*512:8*512]) {
		t.Error("one piece eight times: data differ")
	}

	// A write whose data is its own header, twice.
	write(0, header(typeOut, 40))
	post(t, q, desc{base, 16, false}, desc{base, 512, false}, desc{base + 12288, 1, true})
	used(t, d, q, 5)
	if !bytes.Equal(disk.data[40*512:41*512], read(0, 512)) || read(12288, 1)[0] != ok {
		t.Error("header as data: disk differs")
	}
}

// TestDataOverRings reads disk contents onto the rings: the device may ask for a reset and must work after it.
func TestDataOverRings(t *testing.T) {
	disk := newMemDisk(64 * 512)
	for i := range disk.data {
		disk.data[i] = 0xff
	}
	for _, over := range []string{"descriptors", "available ring", "used ring"} {
		t.Run(over, func(t *testing.T) {
			dev := newDisk(t, disk, blk.Config{QueueSize: 64})
			d := virtiotest.Start(t, dev, virtiotest.Options{Without: virtio.FeatureEventIdx})
			q := d.Queue(0)
			target := map[string]guestmem.Range{"descriptors": q.Desc, "available ring": q.Avail, "used ring": q.Used}[over]
			ram := d.Alloc(4096, 4096)
			if err := ram.Write(0, header(typeIn, 0)); err != nil {
				t.Fatal(err)
			}
			post(t, q, desc{ram.Addr(), 16, false}, desc{target.Addr(), 512, true}, desc{ram.Addr() + 100, 1, true})
			switch over {
			case "available ring": // its index is now 0xffff
				d.NeedsReset()
			case "descriptors": // the next chain is a loop of descriptors outside of RAM
				q.PostHead(1)
				d.Transport.Notify(0)
				d.NeedsReset()
			default: // the device has its own copy of the used index
				used(t, d, q, 1)
			}
			d = virtiotest.Start(t, freed(dev, d), virtiotest.Options{})
			if _, st := do(d.Queue(0), typeFlush, 0, nil, 0); st != ok {
				t.Errorf("after the reset: status %d", st)
			}
		})
	}
}

// freed takes dev away from its driver, so that another one can start it.
func freed(dev *blk.Device, d *virtiotest.Driver) *blk.Device {
	d.Transport.SetStatus(0)
	return dev
}

// TestBrokenRequests sends what is no request at all.
func TestBrokenRequests(t *testing.T) {
	for _, c := range []struct {
		name  string
		parts []virtiotest.Part
	}{
		{"no header", []virtiotest.Part{virtiotest.In(513)}},
		{"short header", []virtiotest.Part{virtiotest.Out(make([]byte, 15)), virtiotest.In(1)}},
		{"no status", []virtiotest.Part{virtiotest.Out(header(typeFlush, 0))}},
		{"empty status", []virtiotest.Part{virtiotest.Out(header(typeFlush, 0)), virtiotest.In(0)}},
		{"empty", []virtiotest.Part{virtiotest.Out(nil)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			disk := newMemDisk(8 * 512)
			dev := newDisk(t, disk, blk.Config{})
			d := virtiotest.Start(t, dev, virtiotest.Options{})
			d.Queue(0).Add(c.parts...)
			d.Queue(0).Kick()
			d.NeedsReset()
			if s := dev.Stats(); s.Broken != 1 {
				t.Errorf("counted %d broken requests", s.Broken)
			}
			if ops := disk.log(); len(ops) != 0 {
				t.Errorf("back end: %q", ops)
			}
		})
	}
}
