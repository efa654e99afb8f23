package irqchip_test

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/husk-vm/husk/devices"
	"github.com/husk-vm/husk/devices/devicestest"
	"github.com/husk-vm/husk/devices/irqchip"
)

// model is one pin as the data sheet tells it, in four bits and no more.
type model struct{ high, level, masked, inService bool }

type op int

const (
	rise op = iota
	fall
	mask
	unmask
	toLevel
	toEdge
	eoi
	eoiOther
	ops
)

func (o op) String() string {
	return [...]string{"rise", "fall", "mask", "unmask", "level", "edge", "eoi", "other eoi"}[o]
}

// step changes the model and reports whether a message goes out.
func (m *model) step(o op) (sends bool) {
	edge := o == rise && !m.high && !m.level && !m.masked
	switch o {
	case rise, fall:
		m.high = o == rise
	case mask, unmask:
		m.masked = o == mask
	case toLevel, toEdge:
		m.level = o == toLevel
	case eoi:
		m.inService = false
	}
	m.inService = m.inService && m.level
	if m.high && m.level && !m.masked && !m.inService {
		m.inService = true
		return true
	}
	return edge
}

func (m model) String() string {
	word := func(b bool, yes, no string) string {
		if b {
			return yes
		}
		return no
	}
	return fmt.Sprintf("%-5s %-8s %-4s %-10s", word(m.level, "level", "edge"), word(m.masked, "masked", "unmasked"),
		word(m.high, "high", "low"), word(m.inService, "in service", "idle"))
}

const (
	testPin    = 11
	testVector = 0x61
)

// apply does to a rig what step does to the model.
func (r *rig) apply(o op) {
	const index = 0x10 + 2*testPin
	switch low := r.get(index); o {
	case rise, fall:
		r.lines[testPin].Set(o == rise)
	case mask:
		r.set(index, low|1<<16)
	case unmask:
		r.set(index, low&^(1<<16))
	case toLevel:
		r.set(index, low|1<<15)
	case toEdge:
		r.set(index, low&^(1<<15))
	case eoi:
		r.EOI(testVector)
	case eoiOther:
		r.EOI(testVector + 1)
	}
}

func (r *rig) model() model {
	s := r.State().Pins[testPin]
	bit := func(n int) bool { return s.Entry>>n&1 != 0 }
	return model{high: s.High, level: bit(15), masked: bit(16), inService: bit(14)}
}

// TestAllSequences plays every sequence of operations of a length, each on a fresh IOAPIC.
func TestAllSequences(t *testing.T) {
	depth := 5
	if testing.Short() {
		depth = 4
	}
	var play func(path []op, depth int)
	play = func(path []op, depth int) {
		if depth == 0 {
			playAgainstModel(t, path)
			return
		}
		for o := range ops {
			play(append(path, o), depth-1)
		}
	}
	// Two starting points, so that the depth is not spent on leaving the reset state.
	play(nil, depth)
	play([]op{unmask, toLevel, rise}, depth)
}

func playAgainstModel(t *testing.T, path []op) {
	t.Helper()
	r := newRig()
	r.set(0x10+2*testPin, 1<<16|testVector)
	m := model{masked: true}
	for i, o := range path {
		sent, told, routes := r.sent, r.told, r.routes
		r.apply(o)
		want := 0
		if m.step(o) {
			want = 1
		}
		switch {
		case r.sent-sent != want:
			t.Fatalf("%v: step %d sent %d messages, want %d", path, i, r.sent-sent, want)
		case r.model() != m:
			t.Fatalf("%v: step %d is [%v], want [%v]", path, i, r.model(), m)
		case m.inService && r.routes[testPin].Data != 0xc000|testVector:
			t.Fatalf("%v: step %d is in service but its end would not come back: route %+v", path, i, r.routes[testPin])
		case r.told > told && r.routes == routes:
			t.Fatalf("%v: step %d told the same routes again", path, i)
		case (o == mask || o == unmask && routes[testPin].Data != 0 && m.level) && r.told > told:
			t.Fatalf("%v: step %d, a toggle of the mask, told routes", path, i)
		}
	}
}

// TestTransitions writes down all 16 states times 8 operations, as the IOAPIC does them, to be read by people.
func TestTransitions(t *testing.T) {
	const file = "testdata/transitions.txt"
	var out strings.Builder
	fmt.Fprintln(&out, "# state before                  | operation | state after                     | message")
	for bits := range 16 {
		from := model{level: bits&8 != 0, masked: bits&4 != 0, high: bits&2 != 0, inService: bits&1 != 0}
		if from.inService && !from.level || from.level && !from.masked && from.high && !from.inService {
			continue // cannot be: an edge is never in service, and the last one has already sent
		}
		for o := range ops {
			r := newRig()
			s := r.State()
			s.Pins[testPin] = irqchip.PinState{Entry: testVector, High: from.high}
			for bit, on := range map[int]bool{14: from.inService, 15: from.level, 16: from.masked} {
				if on {
					s.Pins[testPin].Entry |= 1 << bit
				}
			}
			if err := r.SetState(s); err != nil {
				t.Fatal(err)
			}
			r.lines[testPin].Set(from.high)
			before := r.sent
			r.apply(o)
			message := ""
			if r.sent > before {
				message = "sent"
			}
			fmt.Fprintln(&out, strings.TrimSpace(fmt.Sprintf("%v | %-9v | %v | %s", from, o, r.model(), message)))
		}
	}
	if *update {
		if err := os.WriteFile(file, []byte(out.String()), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if out.String() != string(want) {
		t.Fatalf("transitions changed; run go test -update and read the diff. Now:\n%s", out.String())
	}
}

func FuzzDialogue(f *testing.F) {
	devicestest.Seeds(f, newRig().script())
	f.Fuzz(func(t *testing.T, data []byte) {
		r := newRig()
		r.script().Play(data, func(string) bool {
			checkAtRest(t, r)
			return !t.Failed()
		})
		s := r.State()
		n := newRig()
		if err := n.SetState(s); err != nil {
			t.Fatalf("own state refused: %v", err)
		}
		if n.State() != s {
			t.Fatalf("state came back as %+v, was %+v", n.State(), s)
		}
		checkAtRest(t, n)
	})
}

// checkAtRest holds what must be true whenever no call is under way.
func checkAtRest(t *testing.T, r *rig) {
	t.Helper()
	for i, p := range r.State().Pins {
		mode := p.Entry >> 8 & 7
		level := p.Entry>>15&1 != 0 && mode <= 1
		masked, inService := p.Entry>>16&1 != 0, p.Entry>>14&1 != 0
		switch route := r.routes[i]; {
		case p.Entry>>12&1 != 0:
			t.Errorf("pin %d: %#x: a message has not left", i, p.Entry)
		case inService && !level:
			t.Errorf("pin %d: %#x: an edge waits for its end", i, p.Entry)
		case level && p.High && !masked && !inService:
			t.Errorf("pin %d: %#x: asserted, and nothing was sent", i, p.Entry)
		case level && !masked && route.Data != uint32(p.Entry&0xff|mode<<8|0xc000):
			t.Errorf("pin %d: %#x: route %+v", i, p.Entry, route)
		case !level && !masked && route != (devices.MSI{}):
			t.Errorf("pin %d: %#x: an edge has route %+v", i, p.Entry, route)
		}
	}
	if id := r.get(0); id&^0x0f000000 != 0 || r.get(1) != 0x00170020 || r.get(2) != id {
		t.Errorf("id %#x, version %#x, arbitration %#x", id, r.get(1), r.get(2))
	}
}

// TestHammer has devices on level-triggered and edge-triggered pins, a guest that services them by messages alone, and
// others who rewrite unrelated pins. If one interrupt is lost, work stays behind and the test times out.
func TestHammer(t *testing.T) {
	const each, producers = 2000, 2
	levelVec, edgeVec := uint8(0x41), uint8(0x42)
	messages := make(chan uint8, 4*each*producers+16)
	var inside atomic.Int32
	chip := irqchip.NewIOAPIC(irqchip.Config{
		Send: func(m devices.MSI) {
			if inside.Add(1) != 1 {
				t.Error("two calls at a time")
			}
			if v := uint8(m.Data); v == levelVec || v == edgeVec {
				messages <- v
			}
			inside.Add(-1)
		},
		Routes: func([]devices.MSI) {
			if inside.Add(1) != 1 {
				t.Error("two calls at a time")
			}
			inside.Add(-1)
		},
	})
	var sel sync.Mutex // guests lock around the index and the window too
	set := func(index uint8, v byte, hi byte) {
		sel.Lock()
		defer sel.Unlock()
		chip.Write(0x00, []byte{index})
		chip.Write(0x10, []byte{v, hi, 0, 0})
	}
	set(0x10+2*1, levelVec, 0x80)
	set(0x10+2*2, edgeVec, 0)

	level, edge := newSource(chip.Line(1)), newSource(chip.Line(2))
	var all sync.WaitGroup
	for range producers {
		all.Go(func() {
			for i := range each {
				level.produce()
				edge.produce()
				set(0x10+2*byte(3+i%4), byte(0x50+i), byte(i&1)<<7)
			}
		})
	}
	deadline := time.After(60 * time.Second)
	for done := 0; done < 2*each*producers; {
		select {
		case v := <-messages:
			switch v {
			case levelVec:
				done += level.consume()
				chip.EOI(v)
			case edgeVec:
				done += edge.consume()
			}
		case <-deadline:
			t.Fatalf("%d of %d pieces of work done: an interrupt was lost", done, 2*each*producers)
		}
	}
	all.Wait()
}

// cause is a device that is asserted while it has work.
type cause struct {
	mu   sync.Mutex
	work int // guarded by mu
	out  *devices.Output
}

func newSource(l devices.Line) *cause { return &cause{out: devices.NewOutput(l)} }

func (c *cause) produce() { c.change(func() { c.work++ }) }

func (c *cause) consume() (n int) {
	c.change(func() { n, c.work = c.work, 0 })
	return n
}

func (c *cause) change(fn func()) {
	c.mu.Lock()
	fn()
	c.out.Latch(c.work > 0)
	c.mu.Unlock()
	c.out.Drive()
}

func TestRaceRegisters(t *testing.T) {
	chip := irqchip.NewIOAPIC(irqchip.Config{Send: func(devices.MSI) {}, Routes: func([]devices.MSI) {}})
	line := chip.Line(0)
	devicestest.Hammer(t, irqchip.Size, chip,
		func() { line.Set(true); line.Set(false) },
		func() { chip.EOI(0x55) },
		func() { _ = chip.SetState(chip.State()) },
		chip.Reset)
}
