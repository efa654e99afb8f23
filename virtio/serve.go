package virtio

import (
	"runtime"
	"runtime/debug"
	"sync"

	"github.com/husk-vm/husk/internal/guestmem"
)

// Serve is the loop of a device that ends each request before it takes the next: it pops chains, hands them to handle,
// and releases them with the bytes that handle says it wrote. It returns when the queue stops, or after it told fail
// about an error of the ring or of handle.
func Serve(q *Queue, fail func(error), handle func(*Chain) (written uint32, err error)) {
	for {
		c, err := q.Pop()
		if err != nil {
			fail(err)
			return
		}
		if c == nil {
			if !q.Wait() {
				return
			}
			continue
		}
		n, err := handle(c)
		if err != nil {
			fail(err)
			return
		}
		c.Release(n)
	}
}

// Workers are the goroutines of one device between Start and Stop. The zero value is ready.
type Workers struct {
	wg sync.WaitGroup
}

// Go runs run on a goroutine of its own, which becomes q's worker. When run returns, q counts as idle, whatever it
// holds. A fault on guest RAM (a truncated file behind it, no huge page left) ends run and goes to fail; any other
// panic is a bug and goes on. If q is nil, a queue that the driver left disabled, Go does nothing.
//
// The goroutine is not locked to a thread. Where its doorbell blocks in the kernel it owns a thread while it waits, and
// wakes as fast as a locked one; where its doorbell is a channel, a lock would cost 50 µs a wake-up.
func (w *Workers) Go(q *Queue, fail func(error), run func(q *Queue)) {
	if q == nil {
		return
	}
	w.wg.Go(func() {
		defer q.rest()
		defer func() {
			if v := recover(); v != nil {
				err := faultIn(q.mem, v)
				if err == nil {
					panic(v)
				}
				fail(err)
			}
		}()
		debug.SetPanicOnFault(true)
		run(q)
	})
}

// Wait returns when all goroutines have ended, as they do after the transport closed the queues.
func (w *Workers) Wait() { w.wg.Wait() }

// faultIn returns an error if v is the panic of an access to mem that the host could not serve.
func faultIn(mem *guestmem.Memory, v any) error {
	err, ok := v.(runtime.Error)
	fault, ok2 := v.(interface{ Addr() uintptr })
	if !ok || !ok2 {
		return nil
	}
	for i, r := range mem.Regions() {
		if base := mem.HostAddress(i); fault.Addr() >= base && uint64(fault.Addr()-base) < r.Size {
			return guestErrorf("guest memory", "%v", err)
		}
	}
	return nil
}
