package virtio_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/husk-vm/husk/devices"
	"github.com/husk-vm/husk/virtio"
	"github.com/husk-vm/husk/virtio/virtiotest"
)

// TestEventOrders runs every sequence of events of a length against the real queue and a real worker, event by event:
// after each the worker runs until it sleeps. The invariant is "work pending means someone will run": when the worker
// sleeps and is not paused, no chain is available, no wake is unanswered and its doorbell is silent. While paused, it
// takes nothing.
func TestEventOrders(t *testing.T) {
	length := 6
	if stride > 1 {
		length = 3
	}
	events := []string{"kick", "wake", "pause", "resume", "notify"}
	host := virtio.Host{Memory: virtiotest.Host(t, 0).Memory, Doorbells: &stepBells{}}
	for _, without := range []virtio.Features{0, virtio.FeatureEventIdx} {
		w := newStepped(t, host, without)
		seq := make([]int, length)
		for {
			w.restart()
			for _, e := range seq {
				w.do(events[e])
				if msg := w.verdict(); msg != "" {
					var names []string
					for _, e := range seq {
						names = append(names, events[e])
					}
					t.Fatalf("without %#x, %v: after %s: %s", uint64(without), names, events[e], msg)
				}
			}
			if !next(seq, len(events)) {
				break
			}
		}
		w.stop()
	}
}

// next counts seq up in the given base, and says false when it is back at zero.
func next(seq []int, base int) bool {
	for i := range seq {
		if seq[i]++; seq[i] < base {
			return true
		}
		seq[i] = 0
	}
	return false
}

// stepped is a device of one queue whose worker tells when it sleeps.
type stepped struct {
	t       *testing.T
	bell    *stepBell
	d       *virtiotest.Driver
	p       *probe
	core    *virtio.Core
	posted  int
	taken   int // by the worker
	woken   int // times it came back from Wait
	paused  bool
	stopped chan struct{}

	wakes       int // Wake calls that must still be answered
	wokenBefore int // woken when the first of them came
}

func newStepped(t *testing.T, host virtio.Host, without virtio.Features) *stepped {
	t.Helper()
	w := &stepped{t: t, p: &probe{sizes: []uint16{4}}}
	w.d = virtiotest.New(t, w.p, virtiotest.Options{Host: host})
	w.bell = host.Doorbells.(*stepBells).last
	w.core = coreOf(w.d)
	w.d.Negotiate(without)
	w.d.SetupQueue(0, 4)
	w.d.DriverOK()
	w.run()
	return w
}

// restart begins a new sequence where the ring is: everything served, nothing paused.
func (w *stepped) restart() {
	w.core.Resume()
	w.bell.settle()
	w.paused, w.wakes, w.wokenBefore = false, 0, w.woken
}

func (w *stepped) run() {
	w.stopped = make(chan struct{})
	q := w.p.a.Queues[0]
	go func() {
		defer close(w.stopped)
		for {
			c, err := q.Pop()
			if err != nil {
				panic(err)
			}
			if c != nil {
				c.Release(0)
				w.taken++
				continue
			}
			if !q.Wait() {
				return
			}
			w.woken++
		}
	}()
	w.bell.settle()
}

func (w *stepped) do(event string) {
	q := w.d.Queue(0)
	taken, woken := w.taken, w.woken
	switch event {
	case "kick":
		for range 2 {
			if _, ok := q.Take(); !ok {
				break
			}
		}
		if q.InFlight() < 4 {
			q.Add(virtiotest.In(0))
			w.posted++
		}
		q.Kick()
	case "wake":
		w.p.a.Queues[0].Wake()
		w.wakes++
	case "pause":
		if err := w.core.Pause(context.Background()); err != nil {
			w.t.Fatal(err)
		}
		w.paused = true
	case "resume":
		w.core.Resume()
		w.paused = false
	case "notify":
		w.core.Notify(0)
	}
	w.bell.settle()
	if w.paused && (w.taken != taken || w.woken != woken) {
		w.t.Fatalf("the worker ran while paused")
	}
	if w.wakes > 0 && !w.paused {
		if w.woken == w.wokenBefore {
			w.t.Fatalf("a wake was not answered")
		}
		w.wakes = 0
	}
	if w.wakes == 0 {
		w.wokenBefore = w.woken
	}
}

func (w *stepped) verdict() string {
	switch {
	case w.bell.rung():
		return "the doorbell is set and the worker sleeps"
	case w.paused:
		return ""
	case w.taken != w.posted:
		return fmt.Sprintf("%d chains posted, %d taken, and the worker sleeps", w.posted, w.taken)
	}
	return ""
}

func (w *stepped) stop() {
	w.core.Resume()
	w.d.Transport.SetStatus(0)
	<-w.stopped
}

// stepBells makes doorbells whose waiter can be watched.
type stepBells struct{ last *stepBell }

func (b *stepBells) NewDoorbell() (devices.Doorbell, error) {
	b.last = &stepBell{state: make(chan bellState, 1)}
	b.last.state <- bellState{asleep: make(chan struct{}), ring: make(chan struct{})}
	return b.last, nil
}

func (b *stepBells) Attach(devices.Doorbell, uint64) (func() error, error) {
	return nil, fmt.Errorf("no attach")
}

// stepBell is a doorbell; state is a lock and what it guards.
type stepBell struct{ state chan bellState }

type bellState struct {
	set, sleeping, closed bool
	asleep                chan struct{} // closed while the waiter sleeps
	ring                  chan struct{} // closed to wake it
}

func (b *stepBell) Ring() {
	s := <-b.state
	s.set = true
	s = s.wakeUp()
	b.state <- s
}

// wakeUp lets a sleeper go.
func (s bellState) wakeUp() bellState {
	if s.sleeping {
		s.sleeping = false
		s.asleep = make(chan struct{})
		close(s.ring)
	}
	return s
}

func (b *stepBell) Wait() bool {
	for {
		s := <-b.state
		if s.closed {
			b.state <- s
			return false
		}
		if s.set {
			s.set = false
			b.state <- s
			return true
		}
		s.sleeping = true
		s.ring = make(chan struct{})
		close(s.asleep)
		ring := s.ring
		b.state <- s
		<-ring
	}
}

func (b *stepBell) Close() error {
	s := <-b.state
	s.closed = true
	s = s.wakeUp()
	b.state <- s
	return nil
}

// settle waits until the waiter sleeps.
func (b *stepBell) settle() {
	s := <-b.state
	asleep := s.asleep
	b.state <- s
	select {
	case <-asleep:
	case <-time.After(virtiotest.Patience):
		panic("the worker does not come to rest")
	}
	if s = <-b.state; !s.sleeping {
		b.state <- s
		b.settle()
		return
	}
	b.state <- s
}

func (b *stepBell) rung() bool {
	s := <-b.state
	defer func() { b.state <- s }()
	return s.set
}

// TestWakeUpProtocol explores every interleaving of a driver that adds chains and a device that goes to sleep, step by
// step, one memory access a step, as [VIRTIO §2.7.7.2 and §2.7.10] and Queue.Wait order them. It is a model: it shows
// that the order of the steps is right, and that each of them is needed.
func TestWakeUpProtocol(t *testing.T) {
	for _, tt := range []struct {
		name string
		v    variant
		lost bool
	}{
		{"as it is", variant{}, false},
		{"no second look", variant{noRecheck: true}, true},
		{"look before the wish", variant{lookFirst: true}, true},
		{"driver reads the wish before it adds", variant{driverEarly: true}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			lost := explore(tt.v)
			if (lost != nil) != tt.lost {
				t.Fatalf("lost wake-up: %v", lost)
			}
		})
	}
}

type variant struct{ noRecheck, lookFirst, driverEarly bool }

// world is the state of the model. next is what the device has taken, which the model takes at once when it sees it.
type world struct {
	idx, event, next uint8
	bell             bool
	dev, drv         uint8 // program counters
	seen             uint8 // by the driver: the event it read
	left             uint8 // chains the driver still adds
}

// explore returns the trace to a state where nobody runs and a chain is available.
func explore(v variant) []string {
	type node struct {
		w     world
		trace []string
	}
	seen := map[world]bool{}
	stack := []node{{w: world{left: 3}}}
	for len(stack) > 0 {
		n := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if seen[n.w] {
			continue
		}
		seen[n.w] = true
		d, dOK := v.device(n.w)
		r, rOK := v.driver(n.w)
		if !dOK && !rOK && n.w.idx != n.w.next {
			return n.trace
		}
		if dOK {
			stack = append(stack, node{d, append(slices.Clone(n.trace), fmt.Sprintf("device %d", n.w.dev))})
		}
		if rOK {
			stack = append(stack, node{r, append(slices.Clone(n.trace), fmt.Sprintf("driver %d", n.w.drv))})
		}
	}
	return nil
}

// device makes one step: 0 look and take, 1 wish, 2 look again, 3 sleep.
func (v variant) device(w world) (world, bool) {
	switch w.dev {
	case 0:
		if w.idx != w.next {
			w.next = w.idx
			return w, true
		}
		w.dev = 1
		if v.lookFirst {
			w.dev = 2
		}
	case 1:
		w.event = w.next
		w.dev = 2
		if v.noRecheck || v.lookFirst {
			w.dev = 3
		}
	case 2:
		switch {
		case w.idx != w.next:
			w.dev = 0
		case v.lookFirst:
			w.dev = 1
		default:
			w.dev = 3
		}
	case 3:
		if !w.bell {
			return w, false
		}
		w.bell = false
		w.dev = 0
	}
	return w, true
}

// driver makes one step: 0 add, 1 read the wish, 2 kick if it was for the chain added.
func (v variant) driver(w world) (world, bool) {
	switch w.drv {
	case 0:
		if w.left == 0 {
			return w, false
		}
		w.left--
		if v.driverEarly {
			w.seen = w.event
			w.drv = 3
			break
		}
		w.idx++
		w.drv = 1
	case 1:
		w.seen = w.event
		w.drv = 2
	case 2:
		if w.seen == w.idx-1 {
			w.bell = true
		}
		w.drv = 0
	case 3:
		w.idx++
		w.drv = 2
	}
	return w, true
}
