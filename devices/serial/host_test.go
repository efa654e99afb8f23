package serial_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/husk-vm/husk/devices"
	"github.com/husk-vm/husk/devices/devicestest"
	"github.com/husk-vm/husk/devices/serial"
)

// terminal is a host that takes output when it is told to.
type terminal struct {
	take chan int // permits to take one Write
	mu   sync.Mutex
	got  bytes.Buffer // guarded by mu
}

func newTerminal() *terminal { return &terminal{take: make(chan int)} }

func (h *terminal) Write(p []byte) (int, error) {
	<-h.take
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.got.Write(p)
}

func (h *terminal) text() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.got.String()
}

// sendAll sends like a polling driver: a FIFO's worth whenever THRE is up. It returns what it did not get rid of.
func sendAll(d devices.Device, text string) string {
	for text != "" && get(d, lsr)&0x20 != 0 {
		n := min(16, len(text))
		for _, c := range []byte(text[:n]) {
			set(d, thr, c)
		}
		text = text[n:]
	}
	return text
}

// numbers is text in which a gap shows.
func numbers(n int) string {
	var b strings.Builder
	for i := 0; b.Len() < n; i++ {
		b.WriteString(string(rune('A' + i%26)))
		b.WriteString(strings.Repeat(string(rune('a'+i/26%26)), 2))
	}
	return b.String()[:n]
}

// TestSlowTerminal: a terminal that takes a chunk now and then loses nothing, and the guest is told when to go on.
func TestSlowTerminal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		host, line := newTerminal(), &devicestest.Line{}
		u := serial.New(serial.Config{Output: host, Line: line})
		u.Start()
		set(u, ier, 0x02)
		text := numbers(5 * serial.OutputSize)
		left := text
		for stalls := 0; left != ""; {
			left = sendAll(u, left)
			if left == "" {
				break
			}
			if stalls++; stalls > 100 {
				t.Fatal("no end")
			}
			get(u, iir) // takes the THRE interrupt if there was one
			if line.High() {
				t.Fatal("the line is high while the transmitter is full")
			}
			set(u, ier, 0x00)
			set(u, ier, 0x02) // enabling THRE interrupts at once if the transmitter is empty: it is not
			before := len(host.text())
			for chunks := 0; !line.High(); chunks++ {
				if chunks > serial.OutputSize/4096 {
					t.Fatal("the buffer was written out and no interrupt came")
				}
				time.Sleep(900 * time.Millisecond) // of the bubble's clock: slow, but not stopped
				synctest.Wait()
				if line.High() {
					t.Fatal("a slow terminal counts as a stopped one")
				}
				host.take <- 1
				synctest.Wait()
			}
			if n := len(host.text()) - before; n < serial.OutputSize/2-4096 {
				t.Fatalf("an interrupt after %d bytes were taken", n)
			}
			if get(u, iir)&0x0f != 0x02 {
				t.Fatal("the line is high and not for THRE")
			}
		}
		close(host.take)
		if err := u.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if host.text() != text {
			t.Fatal("the terminal did not get what was sent")
		}
		if n := u.Counters(); n.Sent != uint64(len(text)) || n.Dropped != 0 || n.Errors != 0 {
			t.Fatalf("counters %+v", n)
		}
	})
}

// TestStoppedTerminal: a terminal that takes nothing stops the guest for a second and no longer, and finds the newest
// output when it comes back. Then flow control works again.
func TestStoppedTerminal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		host, line := newTerminal(), &devicestest.Line{}
		u := serial.New(serial.Config{Output: host, Line: line})
		u.Start()
		set(u, thr, '!')
		synctest.Wait() // the writing goroutine is stuck with this one
		set(u, ier, 0x02)
		left := sendAll(u, numbers(2*serial.OutputSize))
		if left == "" {
			t.Fatal("no flow control")
		}
		get(u, iir)
		start := time.Now()
		for !line.High() {
			time.Sleep(time.Millisecond)
			synctest.Wait()
		}
		if d := time.Since(start); d != time.Second {
			t.Fatalf("the guest waited %v for a stopped terminal", d)
		}
		if left = sendAll(u, left); left != "" {
			t.Fatalf("the guest waits again, with %d bytes left", len(left))
		}
		dropped := u.Counters().Dropped
		if dropped == 0 {
			t.Fatal("nothing was dropped")
		}
		host.take <- 1 // it is back, and takes one chunk
		synctest.Wait()
		if left = sendAll(u, numbers(2*serial.OutputSize)); left == "" {
			t.Fatal("no flow control after the terminal came back")
		}
		if more := u.Counters().Dropped; more != dropped {
			t.Fatalf("%d bytes dropped after the terminal came back", more-dropped)
		}
		close(host.take)
		if err := u.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		want := "!" + numbers(2 * serial.OutputSize)[dropped:]
		if got := host.text(); !strings.HasPrefix(got, want) {
			t.Fatalf("the terminal did not get the newest %d bytes", len(want))
		}
		if n := u.Counters(); uint64(len(host.text()))+n.Dropped != n.Sent {
			t.Fatalf("%d written, counters %+v", len(host.text()), n)
		}
	})
}

// TestFirstByteWakes: a single character reaches a host whose goroutine sleeps.
func TestFirstByteWakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var host bytes.Buffer
		u := serial.New(serial.Config{Output: &host})
		u.Start()
		for _, text := range []string{"a", "ab", "abc"} {
			synctest.Wait()
			set(u, thr, text[len(text)-1])
			synctest.Wait()
			if host.String() != text {
				t.Fatalf("the host got %q, want %q", host.String(), text)
			}
		}
		if err := u.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}

func TestCloseDoesNotWaitForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		host := newTerminal()
		u := serial.New(serial.Config{Output: host})
		u.Start()
		sendAll(u, numbers(10_000))
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := u.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("Close = %v with a terminal that takes nothing", err)
		}
		set(u, thr, 'x') // a vCPU may still come by
		close(host.take)
		if err := u.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := u.Counters(); uint64(len(host.text()))+n.Dropped != n.Sent {
			t.Fatalf("%d written, counters %+v", len(host.text()), n)
		}
	})
}

// TestRestoreFullOutput: a restored UART whose output is full holds THRE back like the one that was saved, whatever its
// state claims, and gives up on a terminal that takes nothing.
func TestRestoreFullOutput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var line devicestest.Line
		u := serial.New(serial.Config{Output: newTerminal(), Line: &line})
		if err := u.SetState(serial.State{IER: 2, THRE: true, Output: make([]byte, serial.OutputSize)}); err != nil {
			t.Fatal(err)
		}
		if line.High() || get(u, lsr) != 0 {
			t.Fatalf("line high %v, LSR %#x", line.High(), get(u, lsr))
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if !line.High() || get(u, lsr) != 0x60 {
			t.Fatalf("a second later: line high %v, LSR %#x", line.High(), get(u, lsr))
		}
	})
}

func TestCloseWithoutStart(t *testing.T) {
	u := serial.New(serial.Config{})
	set(u, thr, 'x')
	if err := u.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// failing is a host that takes some and fails.
type failing struct{ took int }

func (f *failing) Write(p []byte) (int, error) {
	n := len(p) / 2
	f.took += n
	return n, io.ErrClosedPipe
}

func TestFailingTerminal(t *testing.T) {
	host := &failing{}
	u := serial.New(serial.Config{Output: host})
	text := numbers(1000)
	sendAll(u, text)
	u.Start()
	if err := u.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	n := u.Counters()
	if n.Errors == 0 || uint64(host.took)+n.Dropped != uint64(len(text)) {
		t.Fatalf("%d taken, counters %+v", host.took, n)
	}
}

func TestInputWaitsForTheGuest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := serial.New(serial.Config{})
		text := numbers(3 * serial.InputSize)
		var written int
		var err error
		done := make(chan struct{})
		go func() {
			defer close(done)
			written, err = io.WriteString(u.Input(), text)
		}()
		synctest.Wait()
		var got []byte
		for range 2 * serial.InputSize {
			if get(u, lsr)&1 == 0 {
				t.Fatal("nothing to read while a writer waits")
			}
			got = append(got, get(u, rbr))
			synctest.Wait()
		}
		if string(got) != text[:len(got)] {
			t.Fatal("the guest did not get what the host wrote")
		}
		if e := u.Close(t.Context()); e != nil {
			t.Fatal(e)
		}
		<-done
		if err != nil || written != len(text) {
			t.Fatalf("Write = %d, %v with room for the rest", written, err)
		}
		if n, err := u.Input().Write([]byte("x")); n != 0 || !errors.Is(err, io.ErrClosedPipe) {
			t.Fatalf("Write after Close = %d, %v", n, err)
		}
	})
}

func TestCloseWakesInput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := serial.New(serial.Config{})
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				if n, err := u.Input().Write(make([]byte, serial.InputSize)); !errors.Is(err, io.ErrClosedPipe) && n != serial.InputSize {
					t.Errorf("Write = %d, %v", n, err)
				}
			})
		}
		synctest.Wait()
		if err := u.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		wg.Wait()
	})
}

// edge is an edge-triggered interrupt input: it remembers rises.
type edge struct {
	high bool
	rose chan struct{}
}

func (e *edge) Set(high bool) { // one call at a time: devices.Output
	if high && !e.high {
		select {
		case e.rose <- struct{}{}:
		default:
		}
	}
	e.high = high
}

// TestEcho runs a driver that is woken by rises of the line only, as on an edge-triggered pin, and echoes what it
// receives. If a rise is lost it sleeps for ever.
func TestEcho(t *testing.T) {
	var host bytes.Buffer
	irq := &edge{rose: make(chan struct{}, 1)}
	u := serial.New(serial.Config{Output: &host, Line: irq})
	u.Start()
	text := numbers(40_000)
	set(u, fcr, 0x81) // before anything arrives: it clears the FIFO
	set(u, ier, 0x01)
	go io.WriteString(u.Input(), text)
	var buf []byte
	for received, echoed := 0, 0; echoed < len(text); {
		select {
		case <-irq.rose:
		case <-time.After(30 * time.Second):
			t.Fatalf("no interrupt; %d of %d characters received, %d echoed: %+v", received, len(text), echoed, u.State())
		}
		for cause := get(u, iir); cause&1 == 0; cause = get(u, iir) {
			for get(u, lsr)&1 != 0 {
				buf = append(buf, get(u, rbr))
				received++
			}
			if len(buf) > 0 {
				set(u, ier, 0x03)
			} else {
				set(u, ier, 0x01)
			}
			if get(u, lsr)&0x20 != 0 {
				n := min(16, len(buf))
				for _, c := range buf[:n] {
					set(u, thr, c)
				}
				buf, echoed = buf[n:], echoed+n
			}
		}
	}
	if err := u.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if host.String() != text {
		t.Fatal("the echo differs")
	}
}

func TestHammer(t *testing.T) {
	r := &rig{}
	r.UART = serial.New(serial.Config{Output: io.Discard, Line: &r.line})
	r.Start()
	devicestest.Hammer(t, serial.Size, r,
		func() { r.Feed([]byte("hello")) },
		func() {
			if err := r.SetState(r.State()); err != nil {
				t.Error(err)
			}
		},
		r.Reset)
	if err := r.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	checkInvariants(t, r, newRig())
}
