package virtio_test

import (
	"fmt"
	"testing"

	"github.com/husk-vm/husk/virtio"
	"github.com/husk-vm/husk/virtio/virtiotest"
)

// BenchmarkQueue is the device's half of a request of 16 bytes out, 4 KiB in pieces and one byte in, without a wake-up.
// The driver's half, which runs in the guest, is in the times too.
func BenchmarkQueue(b *testing.B) {
	for _, bb := range []struct {
		pieces   int
		indirect bool
		batch    int
	}{{1, false, 1}, {1, false, 32}, {1, true, 32}, {8, true, 32}, {32, true, 32}} {
		b.Run(fmt.Sprintf("pieces=%d/indirect=%v/batch=%d", bb.pieces, bb.indirect, bb.batch), func(b *testing.B) {
			q, dq, _ := startProbe(b, 256, 0)
			parts := []virtiotest.Part{virtiotest.Out(make([]byte, 16))}
			for range bb.pieces {
				parts = append(parts, virtiotest.In(4096/bb.pieces))
			}
			batch := dq.Batch(bb.batch, bb.indirect, append(parts, virtiotest.In(1))...)
			var header [16]byte
			lent := func([][]byte) error { return nil }
			b.ReportAllocs()
			b.ResetTimer()
			for n := 0; n < b.N; n += bb.batch {
				batch.Post()
				for {
					c, err := q.Pop()
					if err != nil {
						b.Fatal(err)
					}
					if c == nil {
						break
					}
					_ = c.ReadAt(header[:], 0)
					_ = c.WithWritable(0, 4096, lent)
					_ = c.WriteAt(header[:1], 4096)
					c.Release(4097)
				}
				q.Flush()
				batch.Take()
			}
		})
	}
}

// BenchmarkDevice is a whole device with its worker: post a batch, ring, wait for the interrupt.
func BenchmarkDevice(b *testing.B) {
	for _, n := range []int{1, 32} {
		b.Run(fmt.Sprintf("batch=%d", n), func(b *testing.B) {
			dev := &echo{sizes: []uint16{256}, handle: func(*virtio.Chain) (uint32, error) { return 0, nil }}
			d := virtiotest.Start(b, dev, virtiotest.Options{})
			batch := d.Queue(0).Batch(n, true, virtiotest.Out(make([]byte, 16)), virtiotest.In(4096))
			b.ReportAllocs()
			b.ResetTimer()
			for i := 0; i < b.N; i += n {
				batch.Run()
			}
		})
	}
}
