package blk_test

import (
	"runtime"
	"sync"
	"testing"

	"github.com/husk-vm/husk/virtio/blk"
	"github.com/husk-vm/husk/virtio/virtiotest"
)

// TestHammer changes size and cache mode, reads everything there is to read, and resets the device again and again while
// two queues work. It is for the race detector.
func TestHammer(t *testing.T) {
	disk := newMemDisk(64 * 512)
	dev := newDisk(t, disk, blk.Config{Queues: 2})
	stop := make(chan struct{})
	var others sync.WaitGroup
	others.Go(func() {
		for i := int64(0); ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			runtime.Gosched()
			disk.mu.Lock()
			disk.size, disk.ops = (32+i%33)*512, nil
			disk.mu.Unlock()
			dev.Resize()
			dev.WriteConfig(32, []byte{byte(i % 2)})
		}
	})
	others.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			runtime.Gosched()
			var p [8]byte
			if dev.ReadConfig(0, p[:]); p[0] < 32 || p[0] > 64 {
				t.Errorf("capacity % x", p)
			}
			s := dev.Stats()
			if s.Broken != 0 || dev.LastError() != nil {
				t.Errorf("%+v, %v", s, dev.LastError())
			}
			_ = dev.State()
		}
	})
	for range 20 {
		d := virtiotest.Start(t, dev, virtiotest.Options{})
		var queues sync.WaitGroup
		for i := range 2 {
			q := d.Queue(i)
			queues.Go(func() {
				for n := range 30 {
					sector := uint64(i*16 + n%16) // memDisk moves bytes without a lock, as disks do
					_, st := do(q, typeOut, sector, make([]byte, 512), 0)
					_, st2 := do(q, typeIn, sector, nil, 512)
					if st != ok || st2 != ok {
						t.Errorf("status %d, %d", st, st2)
					}
				}
			})
		}
		queues.Wait()
		for i := range 2 { // under way when the reset comes
			d.Queue(i).Add(virtiotest.Out(header(typeIn, 0)), virtiotest.In(512), virtiotest.In(1))
			d.Queue(i).Kick()
		}
		d.Transport.SetStatus(0)
	}
	close(stop)
	others.Wait()
}
