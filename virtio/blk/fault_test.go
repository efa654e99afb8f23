package blk_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/husk-vm/husk/virtio/blk"
	"github.com/husk-vm/husk/virtio/virtiotest"
)

// TestBackendFaults lets the back end fail in every way: the guest gets an honest status, the host an error text and a
// count, and the next request works.
func TestBackendFaults(t *testing.T) {
	const some = 700 // bytes before the fault
	for _, c := range []struct {
		name    string
		typ     uint32
		out     []byte
		in      int
		allowed int
		err     error
		status  byte
		written uint32
		text    string
	}{
		{"read error", typeIn, nil, 1024, 0, syscall.EIO, ioErr, 1, "blk: read: input/output error"},
		{"read error in the middle", typeIn, nil, 1024, some, syscall.EIO, ioErr, some + 1, "blk: read: input/output error"},
		{"short read", typeIn, nil, 1024, some, nil, ioErr, some + 1, "blk: read: unexpected EOF"},
		{"end of file in the middle", typeIn, nil, 1024, some, io.EOF, ioErr, some + 1, "blk: read: unexpected EOF"},
		{"end of file at the end", typeIn, nil, 1024, 1024, io.EOF, ok, 1025, ""},
		{"interrupted read", typeIn, nil, 1024, some, syscall.EINTR, ioErr, some + 1, "blk: read: interrupted system call"},
		{"disk full", typeOut, make([]byte, 1024), 0, some, syscall.ENOSPC, ioErr, 1, "blk: write: no space left on device"},
		{"short write", typeOut, make([]byte, 1024), 0, some, nil, ioErr, 1, "blk: write: unexpected EOF"},
		{"whole write and an error", typeOut, make([]byte, 1024), 0, 1024, syscall.EIO, ioErr, 1, "blk: write: input/output error"},
		{"failed flush", typeFlush, nil, 0, 0, syscall.EIO, ioErr, 1, "blk: flush: input/output error"},
		{"flush unsupported", typeFlush, nil, 0, 0, errors.ErrUnsupported, ioErr, 1, "blk: flush: unsupported operation"},
		{"failed discard", typeDiscard, segment(0, 2, 0), 0, 0, syscall.EIO, ioErr, 1, "blk: discard: input/output error"},
		{"no discard", typeDiscard, segment(0, 2, 0), 0, 0, errors.ErrUnsupported, unsupp, 1, "blk: discard: unsupported operation"},
		{"failed write zeroes", typeWriteZeroes, segment(0, 2, 0), 0, 0, syscall.ENOSPC, ioErr, 1, "blk: write zeroes: no space left on device"},
	} {
		for _, shape := range []string{"one piece", "vector", "one by one"} {
			t.Run(c.name+"/"+shape, func(t *testing.T) {
				disk := newMemDisk(64 * 512)
				var b blk.Backend = disk
				if shape == "one by one" {
					if c.typ > typeFlush {
						t.Skip("a back end of only the plain methods has no such request")
					}
					b = plain{disk}
				}
				left, failed := c.allowed, false
				disk.fault = func(op string, off int64, n int) (int, error) {
					switch {
					case failed:
						return n, nil
					case n < left || n == left && c.err == nil:
						left -= n
						return n, nil
					}
					failed = true
					return min(n, left), c.err
				}
				dev := newDisk(t, b, blk.Config{})
				q := virtiotest.Start(t, dev, virtiotest.Options{}).Queue(0)
				cuts := []int{0, 300, 600}
				if shape == "one piece" {
					cuts = []int{0}
				}
				parts := []virtiotest.Part{virtiotest.Out(header(c.typ, 0))}
				for i, from := range cuts {
					to := max(len(c.out), c.in)
					if i+1 < len(cuts) {
						to = min(to, cuts[i+1])
					}
					switch {
					case from >= to:
					case c.in > 0:
						parts = append(parts, virtiotest.In(to-from))
					default:
						parts = append(parts, virtiotest.Out(c.out[from:to]))
					}
				}
				r := q.Do(append(parts, virtiotest.In(1))...)
				if status(r) != c.status || r.Written != c.written {
					t.Errorf("status %d, %d bytes, want %d, %d", status(r), r.Written, c.status, c.written)
				}
				if c.typ == typeIn {
					n := int(c.written) - 1
					if got := bytes.Join(r.In, nil); !bytes.Equal(got[:n], disk.data[:n]) {
						t.Error("what arrived before the fault differs")
					}
				}
				text := ""
				if err := dev.LastError(); err != nil {
					text = err.Error()
				}
				if text != c.text {
					t.Errorf("last error %q, want %q", text, c.text)
				}
				if _, st := do(q, typeIn, 0, nil, 512); st != ok {
					t.Errorf("the next request: status %d", st)
				}
			})
		}
	}
}

// liar returns counts that no transfer can have.
type liar struct {
	*memDisk
	n int
}

func (l liar) ReadAt(p []byte, off int64) (int, error)        { return l.n, nil }
func (l liar) ReadvAt(bufs [][]byte, off int64) (int, error)  { return l.n, nil }
func (l liar) WritevAt(bufs [][]byte, off int64) (int, error) { return l.n, nil }

// TestImpossibleCounts is about back ends with bugs: their counts reach neither the used ring nor the status.
func TestImpossibleCounts(t *testing.T) {
	for _, n := range []int{-1, 1 << 40} {
		dev := newDisk(t, liar{newMemDisk(64 * 512), n}, blk.Config{})
		q := virtiotest.Start(t, dev, virtiotest.Options{}).Queue(0)
		for _, parts := range [][]virtiotest.Part{
			{virtiotest.Out(header(typeIn, 0)), virtiotest.In(512), virtiotest.In(1)},
			{virtiotest.Out(header(typeIn, 0)), virtiotest.In(256), virtiotest.In(256), virtiotest.In(1)},
			{virtiotest.Out(header(typeOut, 0)), virtiotest.Out(make([]byte, 256)), virtiotest.Out(make([]byte, 256)), virtiotest.In(1)},
		} {
			if r := q.Do(parts...); status(r) != ioErr || r.Written != 1 {
				t.Errorf("count %d: status %d, %d bytes", n, status(r), r.Written)
			}
		}
		if err := dev.LastError(); err == nil || !strings.Contains(err.Error(), "back end moved") {
			t.Errorf("count %d: %v", n, err)
		}
	}
}

// TestStopWaits resets the device while the back end blocks in a request: the reset is complete only after the back end
// has returned, and what was queued behind that request is not begun.
func TestStopWaits(t *testing.T) {
	disk := newMemDisk(64 * 512)
	entered, release := make(chan struct{}), make(chan struct{})
	left := false // written by the worker before, and read by the test after Stop returned: the race detector judges
	disk.fault = func(op string, off int64, n int) (int, error) {
		entered <- struct{}{}
		<-release
		left = true
		return n, nil
	}
	dev := newDisk(t, disk, blk.Config{})
	d := virtiotest.Start(t, dev, virtiotest.Options{})
	q := d.Queue(0)
	for range 3 {
		q.Add(virtiotest.Out(header(typeIn, 0)), virtiotest.In(512), virtiotest.In(1))
	}
	q.Kick()
	<-entered
	reset := make(chan struct{})
	go func() {
		defer close(reset)
		d.Transport.SetStatus(0)
	}()
	// Nothing orders these events: a device that does not wait is found because it has the time to be wrong.
	select {
	case <-reset:
		t.Fatal("reset complete with a request under way")
	case <-entered:
		t.Fatal("a second request began")
	case <-time.After(20 * time.Millisecond):
	}
	release <- struct{}{}
	for done := false; !done; {
		select {
		case <-reset:
			done = true
		case <-entered: // the queue was still open when the first request returned: let it go too
			release <- struct{}{}
		}
	}
	if !left {
		t.Error("Stop returned before the back end did")
	}
	n := len(disk.log())
	disk.fault = nil
	d2 := virtiotest.Start(t, dev, virtiotest.Options{})
	if _, st := do(d2.Queue(0), typeIn, 0, nil, 512); st != ok {
		t.Errorf("after the reset: status %d", st)
	}
	if got := len(disk.log()); got != 1 {
		t.Errorf("%d requests before, %d after the reset: want 1", n, got)
	}
}

// TestSlowQueue blocks one queue in its back end; the others go on.
func TestSlowQueue(t *testing.T) {
	disk := newMemDisk(64 * 512)
	entered, release := make(chan struct{}), make(chan struct{})
	disk.fault = func(op string, off int64, n int) (int, error) {
		if off == 63*512 {
			close(entered)
			<-release
		}
		return n, nil
	}
	d := virtiotest.Start(t, newDisk(t, disk, blk.Config{Queues: 2}), virtiotest.Options{})
	d.Queue(0).Add(virtiotest.Out(header(typeIn, 63)), virtiotest.In(512), virtiotest.In(1))
	d.Queue(0).Kick()
	<-entered
	for range 100 {
		if _, st := do(d.Queue(1), typeIn, 1, nil, 512); st != ok {
			t.Fatalf("status %d", st)
		}
	}
	close(release)
	if r := d.Queue(0).Wait(); status(r) != ok {
		t.Errorf("status %d", status(r))
	}
}
