package devicestest

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/husk-vm/husk/devices"
)

// Registers pokes every offset of a block of size bytes, and offsets beyond it, with every width. Nothing may panic,
// and reads that begin outside the block must give ones.
func Registers(t *testing.T, size uint64, open func() devices.Device) {
	t.Helper()
	offsets := []uint64{1 << 16, 1 << 32, math.MaxUint64 - 7, math.MaxUint64}
	for off := range size + 16 {
		offsets = append(offsets, off)
	}
	for _, width := range []int{1, 2, 4, 8} {
		for _, off := range offsets {
			d := open()
			for _, fill := range []byte{0x00, 0x55, 0xaa, 0xff} {
				d.Write(off, bytes.Repeat([]byte{fill}, width))
				p := bytes.Repeat([]byte{fill ^ 0x3c}, width)
				d.Read(off, p)
				if off >= size && bytes.Count(p, []byte{0xff}) != width {
					t.Errorf("r%d %#x = %x outside the block", width*8, off, p)
				}
			}
		}
	}
}

// Hammer makes random accesses to a block of size bytes from several goroutines, beside the functions of others, each
// called over and over from a goroutine of its own until the accesses are done. It is for the race detector: the caller
// checks what must hold afterwards.
func Hammer(t *testing.T, size uint64, d devices.Device, others ...func()) {
	t.Helper()
	const guests, accesses = 3, 3000
	done := make(chan struct{})
	var guest, other sync.WaitGroup
	for i := range guests {
		guest.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(i), 7))
			var b [8]byte
			for range accesses {
				p := b[:1<<rnd.IntN(4)]
				if off := rnd.Uint64N(size); rnd.IntN(2) == 0 {
					d.Read(off, p)
				} else {
					binary.LittleEndian.PutUint64(b[:], rnd.Uint64())
					d.Write(off, p)
				}
			}
		})
	}
	for _, fn := range others {
		other.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
					fn()
				}
			}
		})
	}
	guest.Wait()
	close(done)
	other.Wait()
}
