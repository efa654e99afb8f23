package irqchip_test

import (
	"encoding/binary"
	"flag"
	"fmt"
	"strings"
	"testing"

	"github.com/husk-vm/husk/devices"
	"github.com/husk-vm/husk/devices/devicestest"
	"github.com/husk-vm/husk/devices/irqchip"
)

var update = flag.Bool("update", false, "rewrite the answers in testdata")

// rig is an IOAPIC, lines to all pins, and a record of what came out.
type rig struct {
	*irqchip.IOAPIC
	lines  [irqchip.Pins]devices.Line
	events []string                  // "send …" and "routes …" since the last drain
	routes [irqchip.Pins]devices.MSI // as last told
	told   int                       // calls of Routes
	sent   int                       // calls of Send
	last   devices.MSI
}

func newRig() *rig {
	r := &rig{}
	r.IOAPIC = irqchip.NewIOAPIC(irqchip.Config{
		Send: func(m devices.MSI) {
			r.sent++
			r.last = m
			r.events = append(r.events, fmt.Sprintf("send %x %x", m.Addr, m.Data))
		},
		Routes: func(pins []devices.MSI) {
			r.told++
			var set []string
			for i, m := range pins {
				if m != (devices.MSI{}) {
					set = append(set, fmt.Sprintf("%d:%x:%x", i, m.Addr, m.Data))
				}
			}
			copy(r.routes[:], pins)
			r.events = append(r.events, "routes ["+strings.Join(set, " ")+"]")
		},
	})
	for i := range r.lines {
		r.lines[i] = r.Line(i)
	}
	return r
}

func (r *rig) drain() string {
	s := strings.Join(r.events, ", ")
	r.events = nil
	return s
}

func (r *rig) script() devicestest.Script {
	set := func(high bool) func(uint64) string {
		return func(pin uint64) string {
			r.lines[pin%irqchip.Pins].Set(high)
			return r.drain()
		}
	}
	return devicestest.Script{Device: r.IOAPIC, Verbs: map[string]func(uint64) string{
		"high":   set(true),
		"low":    set(false),
		"eoi":    func(v uint64) string { r.EOI(uint8(v)); return r.drain() },
		"events": func(uint64) string { return r.drain() },
		"reset":  func(uint64) string { r.Reset(); return r.drain() },
	}}
}

// set writes a register behind the window, get reads one.
func (r *rig) set(index uint8, v uint32) {
	r.Write(0x00, []byte{index, 0, 0, 0})
	r.Write(0x10, binary.LittleEndian.AppendUint32(nil, v))
}

func (r *rig) get(index uint8) uint32 {
	var p [4]byte
	r.Write(0x00, []byte{index, 0, 0, 0})
	r.Read(0x10, p[:])
	return binary.LittleEndian.Uint32(p[:])
}

func TestDialogues(t *testing.T) {
	devicestest.Dialogues(t, update, func(*testing.T) devicestest.Script { return newRig().script() })
}

func TestRegisters(t *testing.T) {
	devicestest.Registers(t, irqchip.Size, func() devices.Device { return newRig() })
}

func TestMessages(t *testing.T) {
	tests := []struct {
		name      string
		low, high uint32
		addr      uint64
		data      uint32
	}{
		{"fixed, edge, physical", 0x0031, 0, 0xfee00000, 0x0031},
		{"destination", 0x0031, 0x07000000, 0xfee07000, 0x0031},
		{"all CPUs", 0x0031, 0xff000000, 0xfeeff000, 0x0031},
		{"destination above 255", 0x0031, 0x01020000, 0xfee01020, 0x0031},
		{"logical", 0x0831, 0x03000000, 0xfee03004, 0x0031},
		{"lowest priority", 0x0931, 0x03000000, 0xfee03004, 0x0131},
		{"level", 0x8031, 0, 0xfee00000, 0xc031},
		{"level, active low", 0xa031, 0, 0xfee00000, 0xc031},
		{"level, lowest priority", 0x8131, 0, 0xfee00000, 0xc131},
		{"SMI", 0x0200, 0, 0xfee00000, 0x0200},
		{"NMI", 0x0400, 0, 0xfee00000, 0x0400},
		{"NMI is an edge", 0x8400, 0, 0xfee00000, 0x0400},
		{"INIT", 0x0500, 0, 0xfee00000, 0x0500},
		{"ExtINT has no message", 0x0700, 0, 0, 0},
		{"reserved mode 3", 0x0331, 0, 0, 0},
		{"reserved mode 6", 0x8631, 0, 0, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig()
			r.set(0x11+2*9, tt.high)
			r.set(0x10+2*9, tt.low)
			r.lines[9].Set(true)
			if want := (devices.MSI{Addr: tt.addr, Data: tt.data}); r.last != want {
				t.Fatalf("sent %+v, want %+v", r.last, want)
			}
		})
	}
}

func TestLinesShareAPin(t *testing.T) {
	r := newRig()
	other := r.Line(5)
	r.set(0x10+2*5, 0x8044) // level
	r.lines[5].Set(true)
	other.Set(true)
	r.lines[5].Set(false)
	r.EOI(0x44)
	if r.sent != 2 {
		t.Fatalf("%d messages with the second source still high after EOI, want 2", r.sent)
	}
	other.Set(false)
	other.Set(false)
	r.EOI(0x44)
	if r.sent != 2 {
		t.Fatalf("%d messages after all sources fell, want 2", r.sent)
	}
}

func TestLineOutOfRange(t *testing.T) {
	for _, pin := range []int{-1, irqchip.Pins} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("Line(%d) returned", pin)
				}
			}()
			newRig().Line(pin)
		}()
	}
}

// TestCallbacksMayCallBack ends each interrupt inside Send, as a local APIC that is a callback away would.
func TestCallbacksMayCallBack(t *testing.T) {
	var chip *irqchip.IOAPIC
	var line devices.Line
	sent := 0
	chip = irqchip.NewIOAPIC(irqchip.Config{
		Send: func(m devices.MSI) {
			if sent++; sent == 5 {
				line.Set(false)
			}
			chip.EOI(uint8(m.Data))
		},
		Routes: func([]devices.MSI) { chip.EOI(0x99) },
	})
	line = chip.Line(3)
	chip.Write(0x00, []byte{0x10 + 2*3})
	chip.Write(0x10, []byte{0x33, 0x80, 0, 0})
	line.Set(true)
	if sent != 5 {
		t.Fatalf("%d messages, want 5", sent)
	}
}

// TestSlowReceiver has Routes wait while another goroutine makes changes: that one must not wait, must not call at the
// same time, and its message must come after the routes it needs.
func TestSlowReceiver(t *testing.T) {
	entered, leave := make(chan bool), make(chan bool)
	var events []string
	first := true
	chip := irqchip.NewIOAPIC(irqchip.Config{
		Routes: func(pins []devices.MSI) {
			if first {
				first = false
				entered <- true
				<-leave
			}
			events = append(events, fmt.Sprintf("routes %x %x", pins[1].Data, pins[2].Data))
		},
		Send: func(m devices.MSI) { events = append(events, fmt.Sprintf("send %x", m.Data)) },
	})
	set := func(index, vector uint8) {
		chip.Write(0x00, []byte{index})
		chip.Write(0x10, []byte{vector, 0x80, 0, 0})
	}
	done := make(chan bool)
	go func() {
		set(0x10+2*1, 0x41)
		done <- true
	}()
	<-entered
	set(0x10+2*2, 0x42)
	chip.Line(2).Set(true)
	if p := make([]byte, 4); true {
		chip.Read(0x10, p)
		if binary.LittleEndian.Uint32(p) != 0xd042 {
			t.Errorf("the entry reads %x while its message has not left", p)
		}
	}
	leave <- true
	<-done
	want := "routes c041 0, routes c041 c042, send c042"
	if got := strings.Join(events, ", "); got != want {
		t.Fatalf("events %q, want %q", got, want)
	}
}

// TestNoPinStarves raises a storm on one pin, from inside Send, while another waits.
func TestNoPinStarves(t *testing.T) {
	var chip *irqchip.IOAPIC
	var storm, quiet devices.Line
	var order []uint8
	chip = irqchip.NewIOAPIC(irqchip.Config{Send: func(m devices.MSI) {
		if order = append(order, uint8(m.Data)); len(order) < 6 {
			storm.Set(false)
			storm.Set(true)
		}
		if len(order) == 1 {
			quiet.Set(true)
		}
	}})
	storm, quiet = chip.Line(3), chip.Line(9)
	for _, pin := range []uint8{3, 9} {
		chip.Write(0x00, []byte{0x10 + 2*pin})
		chip.Write(0x10, []byte{0x50 + pin, 0, 0, 0})
	}
	storm.Set(true)
	if len(order) != 6 || order[1] != 0x59 {
		t.Fatalf("messages went out as %x", order)
	}
}

func TestStateRefused(t *testing.T) {
	tests := []struct {
		name   string
		change func(*irqchip.IOAPICState)
	}{
		{"id", func(s *irqchip.IOAPICState) { s.ID = 16 }},
		{"reserved bits", func(s *irqchip.IOAPICState) { s.Pins[3].Entry |= 1 << 40 }},
		{"delivery status", func(s *irqchip.IOAPICState) { s.Pins[3].Entry |= 1 << 12 }},
		{"remote IRR of an edge", func(s *irqchip.IOAPICState) { s.Pins[23].Entry |= 1 << 14 }},
		{"remote IRR of an NMI", func(s *irqchip.IOAPICState) { s.Pins[23].Entry = 1<<14 | 1<<15 | 4<<8 }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig()
			before := r.State()
			s := before
			tt.change(&s)
			if err := r.SetState(s); err == nil {
				t.Fatal("restored an impossible state")
			}
			if r.State() != before || r.told != 0 {
				t.Fatal("a refused state left traces")
			}
		})
	}
}

// TestStateInService saves while a level-triggered interrupt is in service and its pin masked: the restored chip must
// have the route back, or the end of interrupt would never arrive.
func TestStateInService(t *testing.T) {
	r := newRig()
	r.set(0x10+2*7, 0x8055)
	r.lines[7].Set(true)
	r.set(0x10+2*7, 0x18055) // masked, in service
	s := r.State()

	n := newRig()
	if err := n.SetState(s); err != nil {
		t.Fatal(err)
	}
	if n.State() != s {
		t.Fatalf("state %+v, want %+v", n.State(), s)
	}
	n.lines[7].Set(true) // the device restores its line
	if got, want := n.drain(), "routes [7:fee00000:c055]"; got != want {
		t.Fatalf("restoring caused %q, want %q", got, want)
	}
	n.EOI(0x55)
	n.set(0x10+2*7, 0x8055) // unmask
	if got, want := n.drain(), "send fee00000 c055"; got != want {
		t.Fatalf("end and unmask caused %q, want %q", got, want)
	}
}

// TestStateEdge shows that a device which drives its line high again after a restore makes no second edge.
func TestStateEdge(t *testing.T) {
	r := newRig()
	r.set(0x10+2*4, 0x34)
	r.lines[4].Set(true)
	n := newRig()
	if err := n.SetState(r.State()); err != nil {
		t.Fatal(err)
	}
	n.lines[4].Set(true)
	if n.sent != 0 {
		t.Fatal("the restored level counted as an edge")
	}
	n.lines[4].Set(false)
	n.lines[4].Set(true)
	if n.sent != 1 {
		t.Fatal("no message for a new edge")
	}
}

func TestHotPathAllocatesNothing(t *testing.T) {
	chip := irqchip.NewIOAPIC(irqchip.Config{Send: func(devices.MSI) {}, Routes: func([]devices.MSI) {}})
	line := chip.Line(4)
	chip.Write(0x00, []byte{0x10 + 2*4})
	p, vec := []byte{0x34, 0x80, 0, 0}, uint8(0x34)
	if n := testing.AllocsPerRun(100, func() {
		p[0] ^= 1 // a new vector: Routes is told each time
		chip.Write(0x10, p)
		line.Set(true)
		line.Set(false)
		chip.EOI(vec)
		chip.EOI(vec ^ 1)
		chip.Read(0x10, p[:4:4])
		p[1] &^= 0x40
	}); n != 0 {
		t.Fatalf("%v allocations", n)
	}
}

func BenchmarkLevelInterrupt(b *testing.B) {
	chip := irqchip.NewIOAPIC(irqchip.Config{Send: func(devices.MSI) {}})
	line := chip.Line(4)
	chip.Write(0x00, []byte{0x10 + 2*4})
	chip.Write(0x10, []byte{0x34, 0x80, 0, 0})
	for b.Loop() {
		line.Set(true)
		line.Set(false)
		chip.EOI(0x34)
	}
}
