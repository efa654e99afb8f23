package devices_test

import (
	"sync"
	"testing"

	"github.com/husk-vm/husk/devices"
	"github.com/husk-vm/husk/devices/devicestest"
)

func TestOutputDrivesChangesOnly(t *testing.T) {
	var got []bool
	o := devices.NewOutput(lineFunc(func(high bool) { got = append(got, high) }))
	steps := []struct {
		latch []bool
		want  string
	}{
		{nil, ""},
		{[]bool{false}, ""},
		{[]bool{true}, "1"},
		{[]bool{true}, "1"},
		{[]bool{false, true}, "101"}, // the fall is not skipped
		{[]bool{true, false}, "1010"},
		{[]bool{true, false}, "1010"}, // a pulse that nobody drove is no edge
		{[]bool{false, true, false, true}, "10101"},
	}
	for i, s := range steps {
		for _, high := range s.latch {
			o.Latch(high)
		}
		o.Drive()
		text := ""
		for _, high := range got {
			text += map[bool]string{true: "1", false: "0"}[high]
		}
		if text != s.want {
			t.Fatalf("step %d: the line saw %q, want %q", i, text, s.want)
		}
	}
}

func TestOutputWithoutLine(t *testing.T) {
	o := devices.NewOutput(nil)
	o.Latch(true)
	o.Drive()
}

// TestOutputReentry has the line call Drive, as a line that ends in the same device would.
func TestOutputReentry(t *testing.T) {
	var o *devices.Output
	level := false
	o = devices.NewOutput(lineFunc(func(high bool) {
		level = high
		if high {
			o.Latch(false)
		}
		o.Drive()
	}))
	o.Latch(true)
	o.Drive()
	if level {
		t.Fatal("the level latched last did not reach the line")
	}
}

// TestOutputHammer lets many goroutines change a shared cause; the line must end at the level latched last.
func TestOutputHammer(t *testing.T) {
	var line devicestest.Line
	o := devices.NewOutput(&line)
	var mu sync.Mutex
	cause := 0
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for i := range 5000 {
				mu.Lock()
				cause ^= i & 3
				o.Latch(cause != 0)
				mu.Unlock()
				o.Drive()
			}
		})
	}
	all.Wait()
	if line.High() != (cause != 0) {
		t.Fatalf("the line is high=%v, its cause says %v", line.High(), cause != 0)
	}
}

type lineFunc func(high bool)

func (f lineFunc) Set(high bool) { f(high) }
