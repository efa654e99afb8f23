package blk_test

import (
	"testing"
	"time"

	"github.com/husk-vm/husk/virtio/blk"
	"github.com/husk-vm/husk/virtio/virtiotest"
)

// TestPublish holds that a finished request reaches the driver while the next one of the same batch is still under way:
// before requests that may take long, and when the finished one took long itself.
func TestPublish(t *testing.T) {
	const longer = time.Millisecond // than a finished request may wait for others
	for _, c := range []struct {
		name  string
		first time.Duration // that the first request takes
		typ   uint32        // of the second
		op    string
		out   []byte
		in    int
	}{
		{name: "before a flush", typ: typeFlush, op: "sync"},
		{name: "before a discard", typ: typeDiscard, op: "discard", out: segment(0, 8, 0)},
		{name: "before write zeroes", typ: typeWriteZeroes, op: "zero", out: segment(0, 8, 0)},
		{name: "after a slow read", first: longer, typ: typeOut, op: "write", out: make([]byte, 512)},
	} {
		t.Run(c.name, func(t *testing.T) {
			disk := newMemDisk(64 * 512)
			seen := make(chan struct{})
			disk.fault = func(op string, _ int64, n int) (int, error) {
				switch op {
				case "read":
					for start := time.Now(); time.Since(start) < c.first; { // a slow disk
					}
				case c.op:
					<-seen
				}
				return n, nil
			}
			q := virtiotest.Start(t, newDisk(t, disk, blk.Config{}), virtiotest.Options{}).Queue(0)
			read := q.Add(virtiotest.Out(header(typeIn, 0)), virtiotest.In(512), virtiotest.In(1))
			q.Add(virtiotest.Out(header(c.typ, 0)), virtiotest.Out(c.out), virtiotest.In(1))
			q.Kick()
			if r := q.Wait(); r.Head != read || status(r) != ok {
				t.Errorf("head %d, status %d", r.Head, status(r))
			}
			close(seen)
			if r := q.Wait(); status(r) != ok {
				t.Errorf("status %d", status(r))
			}
		})
	}
}
