package rtc_test

import (
	"flag"
	"testing"
	"time"

	"github.com/husk-vm/husk/devices"
	"github.com/husk-vm/husk/devices/devicestest"
	"github.com/husk-vm/husk/devices/rtc"
)

var update = flag.Bool("update", false, "rewrite the answers in testdata")

// rig is an RTC whose host clock a test moves.
type rig struct {
	*rtc.RTC
	now time.Time
}

// start has two-digit fields that differ, an afternoon, and a weekday (Sunday) that is 1.
var start = time.Date(2026, time.November, 22, 15, 4, 59, 0, time.UTC)

func newRig() *rig {
	r := &rig{now: start}
	r.RTC = rtc.New(func() time.Time { return r.now })
	return r
}

func (r *rig) script() devicestest.Script {
	return devicestest.Script{Device: r.RTC, Verbs: map[string]func(uint64) string{
		"wait":  func(ns uint64) string { r.now = r.now.Add(time.Duration(ns % (1 << 50))); return "" },
		"reset": func(uint64) string { r.Reset(); return "" },
	}}
}

func (r *rig) get(index byte) byte {
	p := []byte{index}
	r.Write(0, p)
	r.Read(1, p)
	return p[0]
}

func (r *rig) set(index, v byte) {
	r.Write(0, []byte{index})
	r.Write(1, []byte{v})
}

func TestDialogues(t *testing.T) {
	devicestest.Dialogues(t, update, func(*testing.T) devicestest.Script { return newRig().script() })
}

func TestRegisters(t *testing.T) {
	devicestest.Registers(t, rtc.Size, func() devices.Device { return newRig() })
}

func TestModes(t *testing.T) {
	tests := []struct {
		name              string
		b                 byte
		hour              int
		wantHour, wantMin byte
	}{
		{"BCD, 24 hours", 0x02, 15, 0x15, 0x47},
		{"binary, 24 hours", 0x06, 15, 15, 47},
		{"BCD, 12 hours", 0x00, 15, 0x83, 0x47},
		{"binary, 12 hours", 0x04, 15, 0x83, 47},
		{"midnight", 0x00, 0, 0x12, 0x47},
		{"1 am", 0x00, 1, 0x01, 0x47},
		{"11 am", 0x00, 11, 0x11, 0x47},
		{"noon", 0x00, 12, 0x92, 0x47},
		{"11 pm", 0x00, 23, 0x91, 0x47},
		{"11 pm, binary", 0x04, 23, 0x8b, 47},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig()
			r.now = time.Date(2026, 1, 2, tt.hour, 47, 0, 0, time.UTC)
			r.set(0x0b, tt.b)
			if h, m := r.get(0x04), r.get(0x02); h != tt.wantHour || m != tt.wantMin {
				t.Fatalf("%02x:%02x, want %02x:%02x", h, m, tt.wantHour, tt.wantMin)
			}
			// What the registers show is also what sets them.
			r.set(0x0b, tt.b|0x80)
			r.set(0x04, tt.wantHour)
			r.set(0x02, tt.wantMin)
			r.set(0x0b, tt.b)
			if off := r.State().Offset; off != 0 {
				t.Fatalf("writing back what was read moved the clock by %d s", off)
			}
		})
	}
}

// TestEveryDay sets and reads every day of a century, with its odd leap years at both ends, in both number forms.
func TestEveryDay(t *testing.T) {
	for _, mode := range []byte{0x02, 0x06} {
		num := func(n int) byte {
			if mode == 0x02 {
				return byte(n/10<<4 + n%10)
			}
			return byte(n)
		}
		r := newRig()
		r.set(0x0b, mode)
		for d := time.Date(1999, 12, 1, 23, 59, 58, 0, time.UTC); d.Year() < 2101; d = d.AddDate(0, 0, 1) {
			r.set(0x0b, mode|0x80)
			for index, n := range map[byte]int{
				0x00: d.Second(), 0x02: d.Minute(), 0x04: d.Hour(), 0x07: d.Day(),
				0x08: int(d.Month()), 0x09: d.Year() % 100, 0x32: d.Year() / 100,
			} {
				r.set(index, num(n))
			}
			r.set(0x0b, mode)
			r.now = r.now.Add(2 * time.Second) // over midnight
			next := d.Add(2 * time.Second)
			for index, n := range map[byte]int{
				0x00: 0, 0x02: 0, 0x04: 0, 0x06: int(next.Weekday()) + 1, 0x07: next.Day(),
				0x08: int(next.Month()), 0x09: next.Year() % 100, 0x32: next.Year() / 100,
			} {
				if got := r.get(index); got != num(n) {
					t.Fatalf("%v: register %#x is %#x, want %#x", next, index, got, num(n))
				}
			}
		}
	}
}

func TestStateElsewhere(t *testing.T) {
	r := newRig()
	r.set(0x0b, 0x82)
	r.set(0x04, 0x16) // an hour ahead
	r.set(0x0b, 0x02)
	r.set(0x50, 0xab)
	s := r.State()
	n := newRig()
	n.now = start.Add(48 * time.Hour)
	if err := n.SetState(s); err != nil {
		t.Fatal(err)
	}
	if n.State() != s {
		t.Fatalf("state %+v, want %+v", n.State(), s)
	}
	if h, d, m := n.get(0x04), n.get(0x07), n.get(0x50); h != 0x16 || d != 0x24 || m != 0xab {
		t.Fatalf("restored two days later: hour %x, day %x, memory %x", h, d, m)
	}
}

func TestStateRefused(t *testing.T) {
	for name, change := range map[string]func(*rtc.State){
		"index":         func(s *rtc.State) { s.Index = 128 },
		"offset":        func(s *rtc.State) { s.Offset = 1 << 62 },
		"offset before": func(s *rtc.State) { s.Offset = -1 << 62 },
		"UIP":           func(s *rtc.State) { s.RAM[0x0a] |= 0x80 },
		"register C":    func(s *rtc.State) { s.RAM[0x0c] = 1 },
		"register D":    func(s *rtc.State) { s.RAM[0x0d] = 1 },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig()
			before := r.State()
			s := before
			change(&s)
			if err := r.SetState(s); err == nil || r.State() != before {
				t.Fatalf("SetState = %v", err)
			}
		})
	}
}

func FuzzDialogue(f *testing.F) {
	devicestest.Seeds(f, newRig().script())
	f.Fuzz(func(t *testing.T, data []byte) {
		r := newRig()
		r.script().Play(data, func(string) bool { return true })
		s := r.State()
		n := &rig{now: r.now}
		n.RTC = rtc.New(func() time.Time { return n.now })
		if err := n.SetState(s); err != nil {
			t.Fatalf("own state refused: %v", err)
		}
		if n.State() != s {
			t.Fatalf("state came back as %+v, was %+v", n.State(), s)
		}
		// However it was set, a clock that runs shows a possible time, and counts.
		n.set(0x0b, n.get(0x0b)&^0x80|0x06)
		limits := map[byte][2]byte{
			0x00: {0, 59}, 0x02: {0, 59}, 0x04: {0, 23}, 0x06: {1, 7},
			0x07: {1, 31}, 0x08: {1, 12}, 0x09: {0, 99}, 0x32: {0, 99},
		}
		for index, lim := range limits {
			if v := n.get(index); v < lim[0] || v > lim[1] {
				t.Errorf("register %#x is %d", index, v)
			}
		}
		before := n.get(0x00)
		n.now = n.now.Add(time.Second)
		if after := n.get(0x00); after != (before+1)%60 {
			t.Errorf("a second after %d it is %d", before, after)
		}
		if n.get(0x0c)&0x10 == 0 || n.get(0x0c) != 0 || n.get(0x0d) != 0x80 {
			t.Error("register C or D")
		}
	})
}

func TestHammer(t *testing.T) {
	r := rtc.New(func() time.Time { return start })
	devicestest.Hammer(t, rtc.Size, r, r.Reset, func() {
		if err := r.SetState(r.State()); err != nil {
			t.Error(err)
		}
	})
}

func TestRegistersAllocateNothing(t *testing.T) {
	r, p := newRig(), make([]byte, 1)
	if n := testing.AllocsPerRun(100, func() {
		for index := range byte(128) {
			p[0] = index
			r.Write(0, p)
			r.Read(1, p)
			r.Write(1, p)
		}
	}); n != 0 {
		t.Fatalf("%v allocations", n)
	}
}
