package blk_test

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/husk-vm/husk/virtio"
	"github.com/husk-vm/husk/virtio/blk"
	"github.com/husk-vm/husk/virtio/virtiotest"
)

// TestConfigSpace is struct virtio_blk_config as bytes: capacity and size_max, seg_max and geometry, blk_size and
// topology, writeback and num_queues, discard limits, write-zeroes limits.
func TestConfigSpace(t *testing.T) {
	for _, c := range []struct {
		name     string
		backend  blk.Backend
		config   blk.Config
		features virtio.Features
		space    []string
	}{
		{
			"defaults", newMemDisk(0x1234*512 + 511),
			blk.Config{},
			0x6e44,
			[]string{
				"3412000000000000 00000000", "fe000000 00000000", "00020000 03 00 0800 00000000",
				"01 00 0100", "00004000 10000000 08000000", "00000400 10000000 01 000000",
			},
		},
		{
			"plain back end, 4 KiB blocks",
			plain{newMemDisk(1 << 20)},
			blk.Config{BlockBytes: 4096, QueueSize: 1024, Queues: 8},
			0x1e44,
			[]string{
				"0008000000000000 00000000", "fe030000 00000000", "00100000 00 00 0100 00000000",
				"01 00 0800", "00000000 00000000 00000000", "00000000 00000000 00 000000",
			},
		},
		{
			"read-only", newMemDisk(1 << 20),
			blk.Config{ReadOnly: true, PhysicalBlockBytes: 512},
			0x0e64,
			[]string{
				"0008000000000000 00000000", "fe000000 00000000", "00020000 00 00 0100 00000000",
				"01 00 0100", "00000000 00000000 00000000", "00000000 00000000 00 000000",
			},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newDisk(t, c.backend, c.config)
			if d.Features() != c.features {
				t.Errorf("features %#x, want %#x", d.Features(), c.features)
			}
			want := strings.ReplaceAll(strings.Join(c.space, ""), " ", "")
			var got [60]byte
			d.ReadConfig(0, got[:])
			if hex.EncodeToString(got[:]) != want {
				t.Errorf("configuration space\n%x, want\n%s", got, want)
			}
			for off := range uint32(70) { // any window is a window of the same bytes, with zeros beyond
				p := []byte{0xee, 0xee, 0xee, 0xee}
				d.ReadConfig(off, p)
				for i, b := range p {
					if k := int(off) + i; k < len(got) && b != got[k] || k >= len(got) && b != 0 {
						t.Fatalf("4 bytes at %d: % x", off, p)
					}
				}
			}
			d.ReadConfig(1<<32-1, got[:])
			if got != [60]byte{} {
				t.Errorf("at the end of 32 bits: % x", got)
			}
		})
	}
}

func TestNewRefuses(t *testing.T) {
	for _, c := range []struct {
		config blk.Config
		text   string
	}{
		{blk.Config{}, "no back end"},
		{blk.Config{ID: "123456789012345678901"}, "more than 20 bytes"},
		{blk.Config{Queues: -1}, "not 1..64"},
		{blk.Config{Queues: 65}, "not 1..64"},
		{blk.Config{QueueSize: 2}, "queue size 2"},
		{blk.Config{QueueSize: 100}, "queue size 100"},
		{blk.Config{BlockBytes: 256}, "block size 256"},
		{blk.Config{BlockBytes: 8192}, "block size 8192"},
		{blk.Config{BlockBytes: 1000}, "block size 1000"},
		{blk.Config{BlockBytes: 4096, PhysicalBlockBytes: 512}, "physical block size 512"},
		{blk.Config{PhysicalBlockBytes: 2 << 20}, "physical block size"},
	} {
		if c.text != "no back end" {
			c.config.Backend = newMemDisk(512)
		}
		if _, err := blk.New(c.config); err == nil || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%+v: %v, want %q", c.config, err, c.text)
		}
	}
}

// TestWriteback switches the cache mode as a driver does [VIRTIO §5.2.5]: with 0 in the field a write is stable when it
// completes, which the back end sees as a Sync.
func TestWriteback(t *testing.T) {
	syncs := func(disk *memDisk) (n int) {
		for _, op := range disk.log() {
			if strings.HasPrefix(op, "sync") {
				n++
			}
		}
		return n
	}
	disk := newMemDisk(64 * 512)
	dev := newDisk(t, disk, blk.Config{})
	d := virtiotest.Start(t, dev, virtiotest.Options{})
	sector := make([]byte, 512)
	for _, step := range []struct {
		set        []byte // written to the configuration space
		off        uint32
		field      byte
		syncs      int
		about      string
		typ        uint32
		out        []byte
		wantStatus byte
	}{
		{about: "write-back at first", field: 1, typ: typeOut, out: sector},
		{about: "switched off", set: []byte{0}, off: 32, field: 0, syncs: 1, typ: typeOut, out: sector},
		{about: "reads need no sync", field: 0, typ: typeIn},
		{about: "write zeroes", field: 0, syncs: 1, typ: typeWriteZeroes, out: segment(0, 1, 0)},
		{about: "discard promises nothing", field: 0, typ: typeDiscard, out: segment(0, 1, 0)},
		{about: "other fields are read-only", set: []byte{9, 9, 9, 9}, off: 0, field: 0, syncs: 1, typ: typeOut, out: sector},
		{about: "the bytes beside it too", set: []byte{9}, off: 33, field: 0, syncs: 1, typ: typeOut, out: sector},
		{about: "a wide store", set: []byte{1, 0, 0, 0}, off: 32, field: 1, typ: typeOut, out: sector},
		{about: "a store across it", set: []byte{7, 7, 0, 0}, off: 30, field: 0, syncs: 1, typ: typeOut, out: sector},
	} {
		if step.set != nil {
			d.Transport.WriteConfig(step.off, step.set)
		}
		if got := d.Config(32, 1)[0]; got != step.field {
			t.Errorf("%s: field %d, want %d", step.about, got, step.field)
		}
		if _, st := do(d.Queue(0), step.typ, 0, step.out, 0); st != ok {
			t.Errorf("%s: status %d", step.about, st)
		}
		if n := syncs(disk); n != step.syncs {
			t.Errorf("%s: %d syncs, want %d", step.about, n, step.syncs)
		}
	}
	d.Transport.SetStatus(0)
	if d.Config(32, 1)[0] != 1 {
		t.Error("the field is not back at its initial value after a reset")
	}
	d = virtiotest.Start(t, dev, virtiotest.Options{Without: bitFlush})
	if d.Config(32, 1)[0] != 0 {
		t.Error("without VIRTIO_BLK_F_FLUSH the field is 0 [VIRTIO §5.2.5.2]")
	}
	d.Transport.WriteConfig(32, []byte{1})
	do(d.Queue(0), typeOut, 0, sector, 0)
	if n := syncs(disk); n != 1 {
		t.Errorf("a driver that cannot flush: %d syncs, want 1", n)
	}
}

func TestWriteThroughFails(t *testing.T) {
	disk := newMemDisk(64 * 512)
	disk.fault = func(op string, _ int64, n int) (int, error) {
		if op == "sync" {
			return 0, errDisk
		}
		return n, nil
	}
	q := virtiotest.Start(t, newDisk(t, disk, blk.Config{}), virtiotest.Options{Without: bitFlush}).Queue(0)
	if _, st := do(q, typeOut, 0, make([]byte, 512), 0); st != ioErr {
		t.Errorf("status %d of a write that is not stable", st)
	}
}

func TestResize(t *testing.T) {
	disk := newMemDisk(64 * 512)
	disk.size = 16 * 512
	dev := newDisk(t, disk, blk.Config{})
	dev.Resize() // before it started: nobody to tell
	d := virtiotest.Start(t, dev, virtiotest.Options{})
	capacity := func() uint64 { return binary.LittleEndian.Uint64(d.Config(0, 8)) }
	check := func(sector uint64, want byte) {
		t.Helper()
		if _, st := do(d.Queue(0), typeIn, sector, nil, 512); st != want {
			t.Errorf("read of sector %d of %d: status %d, want %d", sector, capacity(), st, want)
		}
	}
	check(15, ok)
	check(16, ioErr)
	for _, n := range []int64{32, 8, 64} {
		disk.mu.Lock()
		disk.size = n*512 + 100
		disk.mu.Unlock()
		dev.Resize()
		<-d.Transport.ConfigInterrupt()
		if capacity() != uint64(n) {
			t.Errorf("capacity %d, want %d", capacity(), n)
		}
		check(uint64(n)-1, ok)
		check(uint64(n), ioErr)
	}
	dev.Resize()
	select {
	case <-d.Transport.ConfigInterrupt():
		t.Error("a configuration change without a change")
	default:
	}
}

func TestState(t *testing.T) {
	config := blk.Config{ID: "one", Queues: 2, BlockBytes: 4096}
	from := newDisk(t, newMemDisk(64*512), config)
	d := virtiotest.Start(t, from, virtiotest.Options{})
	d.Transport.WriteConfig(32, []byte{0})
	s := from.State()
	if s.WriteBack || s.CapacitySectors != 64 || s.ID != "one" {
		t.Errorf("state %+v", s)
	}
	to := newDisk(t, newMemDisk(64*512), config)
	if err := to.Restore(s); err != nil {
		t.Fatal(err)
	}
	if got := to.State(); got != s {
		t.Errorf("restored %+v, want %+v", got, s)
	}
	var p [1]byte
	if to.ReadConfig(32, p[:]); p[0] != 0 {
		t.Error("the cache mode is lost")
	}
	for _, other := range []*blk.Device{
		newDisk(t, newMemDisk(65*512), config),
		newDisk(t, plain{newMemDisk(64 * 512)}, config),
		newDisk(t, newMemDisk(64*512), blk.Config{ID: "two", Queues: 2, BlockBytes: 4096}),
		newDisk(t, newMemDisk(64*512), blk.Config{ID: "one", Queues: 2, BlockBytes: 4096, ReadOnly: true}),
	} {
		if err := other.Restore(s); err == nil {
			t.Errorf("state of another disk accepted: %+v", other.State())
		}
	}
}

func TestStartTwice(t *testing.T) {
	dev := newDisk(t, newMemDisk(512), blk.Config{})
	a := virtio.Activation{ConfigChanged: func() {}, Fail: func(error) {}}
	if err := dev.Start(a); err != nil {
		t.Fatal(err)
	}
	if err := dev.Start(a); err == nil {
		t.Error("second Start: no error")
	}
	dev.Stop()
	dev.Stop()
	if err := dev.Start(a); err != nil {
		t.Errorf("after Stop: %v", err)
	}
	dev.Stop()
	if err := dev.Start(virtio.Activation{Queues: make([]*virtio.Queue, 2)}); err == nil || errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("too many queues: %v", err)
	}
}
