package serial_test

import (
	"bytes"
	"flag"
	"reflect"
	"strconv"
	"testing"

	"github.com/husk-vm/husk/devices"
	"github.com/husk-vm/husk/devices/devicestest"
	"github.com/husk-vm/husk/devices/serial"
)

var update = flag.Bool("update", false, "rewrite the answers in testdata")

const (
	rbr, thr, ier, iir, fcr, lcr, mcr, lsr, msr = 0, 0, 1, 2, 2, 3, 4, 5, 6
)

// rig is a UART that nobody writes out, so that tests can look at its output.
type rig struct {
	*serial.UART
	line devicestest.Line
}

func newRig() *rig {
	r := &rig{}
	r.UART = serial.New(serial.Config{Line: &r.line})
	return r
}

func (r *rig) level() string { return map[bool]string{true: "high", false: "low"}[r.line.High()] }

func (r *rig) script() devicestest.Script {
	return devicestest.Script{Device: r.UART, Verbs: map[string]func(uint64) string{
		"feed": func(chars uint64) string {
			var p []byte
			for ; chars != 0; chars >>= 8 {
				p = append(p, byte(chars))
			}
			r.Feed(p)
			return r.level()
		},
		"line":  func(uint64) string { return r.level() },
		"sent":  func(uint64) string { return strconv.Quote(string(r.State().Output)) },
		"reset": func(uint64) string { r.Reset(); return r.level() },
	}}
}

func get(d devices.Device, off uint64) byte {
	p := []byte{0}
	d.Read(off, p)
	return p[0]
}

func set(d devices.Device, off uint64, v byte) { d.Write(off, []byte{v}) }

func TestDialogues(t *testing.T) {
	devicestest.Dialogues(t, update, func(*testing.T) devicestest.Script { return newRig().script() })
}

func TestRegisters(t *testing.T) {
	devicestest.Registers(t, serial.Size, func() devices.Device { return newRig() })
}

func TestTriggerLevels(t *testing.T) {
	for _, tt := range []struct {
		name  string
		fcr   byte
		level int
	}{{"1", 0x01, 1}, {"4", 0x41, 4}, {"8", 0x81, 8}, {"14", 0xc1, 14}} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig()
			set(r, fcr, tt.fcr)
			set(r, ier, 0x01)
			for n := 1; n <= 16; n++ {
				r.Feed([]byte{byte(n)})
				want := byte(0xcc) // timeout
				if n >= tt.level {
					want = 0xc4
				}
				if got := get(r, iir); got != want {
					t.Errorf("with %d characters the IIR is %#x, want %#x", n, got, want)
				}
			}
		})
	}
}

// TestPriority raises all four interrupts and takes them away from the most important on.
func TestPriority(t *testing.T) {
	r := newRig()
	set(r, fcr, 0x01)
	set(r, mcr, 0x1f) // loopback, all lines up; they change from three to four
	for i := range 17 {
		set(r, thr, byte(i)) // one too many: overrun
	}
	set(r, ier, 0x0f)
	steps := []struct {
		want byte
		take func()
	}{
		{0xc6, func() { get(r, lsr) }},
		{0xc4, func() {
			for range 16 {
				get(r, rbr)
			}
		}},
		{0xc2, func() {}}, // reading the IIR has taken it
		{0xc0, func() { get(r, msr) }},
		{0xc1, func() {}},
	}
	set(r, mcr, 0x1b) // RI falls: a delta
	for i, s := range steps {
		if got := get(r, iir); got != s.want {
			t.Fatalf("step %d: IIR %#x, want %#x", i, got, s.want)
		}
		s.take()
	}
	if r.line.High() {
		t.Fatal("the line is high with nothing pending")
	}
}

// TestFlood is CVE-2020-27173: input that the guest does not read must cost a bounded amount of memory, and all of what
// was accepted must arrive.
func TestFlood(t *testing.T) {
	r := newRig()
	set(r, fcr, 0x01)
	flood := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	fed := r.Feed(flood)
	if fed != serial.InputSize+16 || r.Feed(flood) != 0 {
		t.Fatalf("%d bytes accepted, want %d and then none", fed, serial.InputSize+16)
	}
	if s := r.State(); len(s.FIFO) != 16 || len(s.Input) != serial.InputSize {
		t.Fatalf("%d bytes in the FIFO, %d wait", len(s.FIFO), len(s.Input))
	}
	for i := range fed {
		if got := get(r, rbr); got != flood[i] {
			t.Fatalf("character %d is %q, want %q", i, got, flood[i])
		}
	}
	if v := get(r, lsr); v != 0x60 {
		t.Fatalf("LSR %#x after the last character", v)
	}
	if n := r.Counters().Received; n != uint64(fed) {
		t.Fatalf("%d received, want %d", n, fed)
	}
}

// TestClearKeepsWaitingInput: a driver clears the FIFO when it opens the port. That takes what has arrived, not what
// the host has yet to send.
func TestClearKeepsWaitingInput(t *testing.T) {
	r := newRig()
	set(r, fcr, 0x01)
	r.Feed([]byte("0123456789abcdefGHIJ"))
	set(r, fcr, 0x07)
	if s := r.State(); string(s.FIFO) != "GHIJ" {
		t.Fatalf("after the clear the FIFO holds %q", s.FIFO)
	}
	set(r, fcr, 0x00) // disabled: cleared, one character deep
	r.Feed([]byte("KL"))
	if s := r.State(); string(s.FIFO) != "K" || string(s.Input) != "L" {
		t.Fatalf("without FIFOs %q can be read and %q waits", s.FIFO, s.Input)
	}
}

func TestState(t *testing.T) {
	r := newRig()
	set(r, lcr, 0x80)
	set(r, 0, 0x12)
	set(r, 1, 0x34)
	set(r, lcr, 0x03)
	set(r, fcr, 0x81)
	set(r, ier, 0x03)
	set(r, mcr, 0x0b)
	set(r, 7, 0x5a)
	set(r, thr, 'x')
	r.Feed(bytes.Repeat([]byte("input"), 10))
	s := r.State()
	n := newRig()
	if err := n.SetState(s); err != nil {
		t.Fatal(err)
	}
	if got := n.State(); !reflect.DeepEqual(got, s) {
		t.Fatalf("state %+v, want %+v", got, s)
	}
	if !n.line.High() {
		t.Fatal("the restored UART has interrupts pending and its line is low")
	}
	var tail []byte
	for get(n, lsr)&1 != 0 {
		tail = append(tail, get(n, rbr))
	}
	if want := bytes.Repeat([]byte("input"), 10); !bytes.Equal(tail, want) {
		t.Fatalf("the restored UART gave %q, want %q", tail, want)
	}
}

func TestStateRefused(t *testing.T) {
	for name, s := range map[string]serial.State{
		"IER":           {IER: 0x10},
		"MCR":           {MCR: 0x20},
		"FCR":           {FCR: 0x03},
		"FCR, disabled": {FCR: 0x40},
		"deltas":        {ModemDelta: 0x10},
		"FIFO":          {FCR: 1, FIFO: make([]byte, 17)},
		"no FIFO":       {FIFO: make([]byte, 2)},
		"input":         {Input: make([]byte, serial.InputSize+1)},
		"output":        {Output: make([]byte, serial.OutputSize+1)},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig()
			if err := r.SetState(s); err == nil || !reflect.DeepEqual(r.State(), serial.State{}) {
				t.Fatalf("SetState = %v, state %+v", err, r.State())
			}
		})
	}
}

func FuzzDialogue(f *testing.F) {
	devicestest.Seeds(f, newRig().script())
	f.Fuzz(func(t *testing.T, data []byte) {
		r, twin := newRig(), newRig()
		r.script().Play(data, func(string) bool {
			checkInvariants(t, r, twin)
			return !t.Failed()
		})
	})
}

// checkInvariants derives the pending interrupt from the state, in the data sheet's order, and holds the line, the IIR
// and the LSR against it. Reading those changes them, so a twin is asked.
func checkInvariants(t *testing.T, r, n *rig) {
	t.Helper()
	s := r.State()
	depth, trigger := 1, 1
	if s.FCR&1 != 0 {
		depth, trigger = 16, []int{1, 4, 8, 14}[s.FCR>>6]
	}
	if len(s.FIFO) > depth || len(s.Input) > serial.InputSize || len(s.Output) > serial.OutputSize {
		t.Errorf("%d, %d, %d bytes in FIFO, input and output", len(s.FIFO), len(s.Input), len(s.Output))
	}
	if len(s.FIFO) < depth && len(s.Input) > 0 && s.MCR&0x10 == 0 {
		t.Errorf("%d bytes wait beside a FIFO of %d", len(s.Input), len(s.FIFO))
	}
	want := byte(0x01)
	switch {
	case s.IER&4 != 0 && s.Overrun:
		want = 0x06
	case s.IER&1 != 0 && len(s.FIFO) >= trigger:
		want = 0x04
	case s.IER&1 != 0 && len(s.FIFO) > 0:
		want = 0x0c
	case s.IER&2 != 0 && s.THRE:
		want = 0x02
	case s.IER&8 != 0 && s.ModemDelta != 0:
		want = 0x00
	}
	if r.line.High() != (want != 0x01) {
		t.Errorf("the line is high=%v with interrupt %#x pending: %+v", r.line.High(), want, s)
	}
	if err := n.SetState(s); err != nil {
		t.Fatalf("own state refused: %v", err)
	}
	if got := n.State(); !reflect.DeepEqual(got, s) {
		t.Errorf("state came back as %+v, was %+v", got, s)
	}
	if got := get(n, iir); got&0x0f != want || got&0xf0 != s.FCR&1*0xc0 {
		t.Errorf("IIR %#x with interrupt %#x pending", got, want)
	}
	if v := get(n, lsr); v&1 != 0 != (len(s.FIFO) > 0) || v&2 != 0 != s.Overrun || v&0x9c != 0 {
		t.Errorf("LSR %#x with %+v", v, s)
	}
}

func TestConsoleAllocatesNothing(t *testing.T) {
	r, p, in := newRig(), make([]byte, 1), []byte("a")
	if n := testing.AllocsPerRun(100, func() {
		r.Write(thr, p)
		r.Read(lsr, p)
		r.Feed(in)
		r.Read(iir, p)
		r.Read(rbr, p)
	}); n != 0 {
		t.Fatalf("%v allocations", n)
	}
}

func BenchmarkPolledOutput(b *testing.B) {
	r, p := newRig(), make([]byte, 1)
	for b.Loop() {
		r.Read(lsr, p)
		r.Write(thr, p)
	}
}
