package power_test

import (
	"flag"
	"math/big"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/husk-vm/husk/devices"
	"github.com/husk-vm/husk/devices/devicestest"
	"github.com/husk-vm/husk/devices/power"
)

var update = flag.Bool("update", false, "rewrite the answers in testdata")

// Where the rig's devices sit, in one space that the one-byte offsets of fuzz inputs reach.
const (
	atBlock    = 0x00
	atKeyboard = 0x10
	atPanic    = 0x20
	atTimer    = 0x30
	atPost     = 0x40
)

// rig has all devices of the package on one bus, and records what they ask for.
type rig struct {
	devices.Bus
	block *power.Block
	timer *power.PMTimer
	post  *power.PostPort
	panic *power.PanicPort
	line  devicestest.Line
	now   time.Duration
	asked []string
}

func newRig() *rig {
	r := &rig{}
	note := func(what string) func() { return func() { r.asked = append(r.asked, what) } }
	ev := power.Events{PowerOff: note("power off"), Reset: note("reset"), Panic: note("panic")}
	r.block = power.New(ev, &r.line)
	r.timer = power.NewPMTimer(func() time.Duration { return r.now })
	r.post = power.NewPostPort()
	r.panic = power.NewPanicPort(ev)
	for _, m := range []struct {
		base, size uint64
		dev        devices.Device
	}{
		{atBlock, power.BlockSize, r.block},
		{atKeyboard, power.KeyboardSize, power.NewKeyboardReset(note("keyboard reset"))},
		{atPanic, power.PanicSize, r.panic},
		{atTimer, power.PMTimerSize, r.timer},
		{atPost, power.PostSize, r.post},
	} {
		if err := r.Map(m.base, m.size, m.dev); err != nil {
			panic(err)
		}
	}
	return r
}

func (r *rig) script() devicestest.Script {
	level := func() string { return map[bool]string{true: "high", false: "low"}[r.line.High()] }
	return devicestest.Script{Device: &r.Bus, Verbs: map[string]func(uint64) string{
		"press": func(uint64) string { r.block.PressPower(); return level() },
		"line":  func(uint64) string { return level() },
		"asked": func(uint64) string {
			s := strings.Join(r.asked, ", ")
			r.asked = nil
			return s
		},
		"wait":  func(ns uint64) string { r.now += time.Duration(ns % uint64(time.Hour)); return "" },
		"reset": func(uint64) string { r.block.Reset(); r.timer.Reset(); r.post.Reset(); return level() },
		"post":  func(uint64) string { return "0x" + strconv.FormatUint(uint64(r.post.Code()), 16) },
		"crash": func(uint64) string {
			return strconv.FormatUint(r.panic.Panics(), 10) + " " + strconv.FormatUint(r.panic.CrashLoaded(), 10)
		},
	}}
}

func TestDialogues(t *testing.T) {
	devicestest.Dialogues(t, update, func(*testing.T) devicestest.Script { return newRig().script() })
}

func TestRegisters(t *testing.T) {
	devicestest.Registers(t, power.BlockSize, func() devices.Device { return power.New(power.Events{}, nil) })
	devicestest.Registers(t, power.KeyboardSize, func() devices.Device { return power.NewKeyboardReset(nil) })
	devicestest.Registers(t, power.PanicSize, func() devices.Device { return power.NewPanicPort(power.Events{}) })
	devicestest.Registers(t, power.PostSize, func() devices.Device { return power.NewPostPort() })
	devicestest.Registers(t, power.PMTimerSize, func() devices.Device {
		return power.NewPMTimer(func() time.Duration { return time.Hour })
	})
}

func TestAccessBeyondTheTopDoesNotWrap(t *testing.T) {
	fail := func() { t.Error("a write at the top of the offsets reached a register") }
	b := power.New(power.Events{PowerOff: fail, Reset: fail}, nil)
	b.Write(^uint64(0), []byte{0, 0x34, 0, power.ResetValue})
	if b.State() != (power.State{}) {
		t.Errorf("state %+v", b.State())
	}
}

func TestSleepValues(t *testing.T) {
	for v := range 256 {
		var off int
		b := power.New(power.Events{PowerOff: func() { off++ }}, nil)
		b.Write(power.RegSleepControl, []byte{byte(v)})
		enabled, typ := v>>5&1 == 1, v>>2&7
		if want := enabled && typ == 5; (off == 1) != want {
			t.Errorf("SLEEP_CONTROL %#x: powered off %d times, want %v", v, off, want)
		}
		if wakes := b.State().Status != 0; wakes != (enabled && typ != 5) {
			t.Errorf("SLEEP_CONTROL %#x: WAK_STS %v", v, wakes)
		}
		p := []byte{0}
		b.Read(power.RegSleepControl, p)
		if want := byte(typ << 2); p[0] != want {
			t.Errorf("SLEEP_CONTROL %#x reads %#x, want %#x", v, p[0], want)
		}
	}
}

func TestResetValues(t *testing.T) {
	for v := range 256 {
		var resets, keyboard int
		b := power.New(power.Events{Reset: func() { resets++ }}, nil)
		b.Write(power.RegReset, []byte{byte(v)})
		k := power.NewKeyboardReset(func() { keyboard++ })
		k.Write(4, []byte{byte(v)})
		k.Write(0, []byte{byte(v)}) // data, not a command
		if (resets == 1) != (v == 1) || (keyboard == 1) != (v == 0xfe) {
			t.Errorf("%#x: %d resets by the register, %d by the keyboard controller", v, resets, keyboard)
		}
	}
}

func TestPMTimerRate(t *testing.T) {
	var now time.Duration
	timer := power.NewPMTimer(func() time.Duration { return now })
	for _, now = range []time.Duration{
		0, 279, 280, time.Microsecond, time.Second - 1, time.Second, 43 * time.Minute,
		24 * time.Hour, 292 * 365 * 24 * time.Hour,
	} {
		want := new(big.Int).Mul(big.NewInt(int64(now)), big.NewInt(power.PMTimerHz))
		want.Div(want, big.NewInt(int64(time.Second)))
		want.Mod(want, big.NewInt(1<<32))
		if got := timer.State().Count; uint64(got) != want.Uint64() {
			t.Errorf("after %v the timer is %d, want %v", now, got, want)
		}
	}
}

func TestPMTimerState(t *testing.T) {
	now := time.Hour
	old := power.NewPMTimer(func() time.Duration { return now })
	s := old.State()
	now = 3 * time.Second // another host, another clock
	timer := power.NewPMTimer(func() time.Duration { return now })
	if err := timer.SetState(s); err != nil {
		t.Fatal(err)
	}
	if timer.State() != s {
		t.Fatalf("restored to %v, want %v", timer.State(), s)
	}
	now += time.Second
	if got := timer.State().Count - s.Count; got != power.PMTimerHz {
		t.Fatalf("%d ticks in the second after the restore, want %d", got, power.PMTimerHz)
	}
}

func TestBlockState(t *testing.T) {
	var line devicestest.Line
	b := power.New(power.Events{}, nil)
	b.Write(power.RegSleepControl, []byte{1<<5 | 3<<2})
	b.PressPower()
	n := power.New(power.Events{}, &line)
	if err := n.SetState(b.State()); err != nil {
		t.Fatal(err)
	}
	if n.State() != b.State() || !line.High() {
		t.Fatalf("restored %+v, want %+v; line high %v", n.State(), b.State(), line.High())
	}
	for _, bad := range []power.State{{Control: 1 << 5}, {Status: 1}, {Events: 4}} {
		if err := n.SetState(bad); err == nil || n.State() != b.State() {
			t.Errorf("SetState(%+v) = %v, state %+v", bad, err, n.State())
		}
	}
}

func FuzzDialogue(f *testing.F) {
	devicestest.Seeds(f, newRig().script())
	f.Fuzz(func(t *testing.T, data []byte) {
		r := newRig()
		r.script().Play(data, func(string) bool {
			s := r.block.State()
			if r.line.High() != (s.Events != 0) {
				t.Errorf("the line is high=%v with events %#x", r.line.High(), s.Events)
			}
			n := power.New(power.Events{}, nil)
			if err := n.SetState(s); err != nil || n.State() != s {
				t.Errorf("own state came back as %+v, %v; was %+v", n.State(), err, s)
			}
			return !t.Failed()
		})
	})
}

// TestHammer presses the button while vCPUs take events: a press that nobody took must leave the line high.
func TestHammer(t *testing.T) {
	var line devicestest.Line
	var asked atomic.Uint64
	count := func() { asked.Add(1) }
	b := power.New(power.Events{PowerOff: count, Reset: count}, &line)
	devicestest.Hammer(t, power.BlockSize, b, b.PressPower, func() { _ = b.SetState(b.State()) })
	if line.High() != (b.State().Events != 0) {
		t.Errorf("the line is high=%v with events %#x", line.High(), b.State().Events)
	}
	devicestest.Hammer(t, power.PMTimerSize, power.NewPMTimer(func() time.Duration { return 1 }))
	devicestest.Hammer(t, power.PostSize, power.NewPostPort())
	devicestest.Hammer(t, power.PanicSize, power.NewPanicPort(power.Events{Panic: count}))
	if asked.Load() == 0 {
		t.Error("nothing was asked for")
	}
}

func TestRegistersAllocateNothing(t *testing.T) {
	r := newRig()
	p := make([]byte, 4)
	if n := testing.AllocsPerRun(100, func() {
		r.Read(atTimer, p)
		r.block.PressPower()
		r.Read(atBlock+power.RegEvents, p)
		r.Write(atPost, p)
	}); n != 0 {
		t.Fatalf("%v allocations", n)
	}
}
