package devices

import "sync"

// Output is a device's end of a Line. It lets a device decide the level with its lock held and drive the line with no
// lock held, without ever leaving a stale level behind:
//
//	d.mu.Lock()
//	… change registers …
//	d.irq.Latch(d.pending())
//	d.mu.Unlock()
//	d.irq.Drive()
//
// One goroutine at a time drives; others leave their level for it and go on, so Drive may return a moment before the
// level shows, as on a wire. A fall between two rises is never skipped: the guest may have programmed the input as
// edge-triggered, and would miss the second interrupt.
//
// Make it with NewOutput. Any goroutine may call its methods.
type Output struct {
	line Line

	mu      sync.Mutex
	want    bool // level last latched, guarded by mu
	fell    bool // Latch(false) was called since the line went high, guarded by mu
	level   bool // level of the line, guarded by mu
	driving bool // a goroutine is in Drive's loop, guarded by mu
}

// NewOutput returns an output that is low. line may be nil where nothing is connected.
func NewOutput(line Line) *Output { return &Output{line: line} }

// Latch sets the level that the next Drive will bring to the line. The order of Latch calls is the order of levels, so
// call it with the lock that guards the level's cause.
func (o *Output) Latch(high bool) {
	o.mu.Lock()
	o.want = high
	o.fell = o.fell || !high && o.level
	o.mu.Unlock()
}

// Drive brings the latched level to the line. Call it with no lock held.
func (o *Output) Drive() {
	o.mu.Lock()
	if o.driving {
		o.mu.Unlock()
		return
	}
	o.driving = true
	for {
		switch {
		case o.fell && o.level:
			o.set(false)
		case o.want && !o.level:
			o.set(true)
		default:
			o.driving = false
			o.mu.Unlock()
			return
		}
	}
}

// set drives the line.
// Preconditions: mu is held, driving is set. Postcondition: mu is held; it was released while the line was told.
func (o *Output) set(high bool) {
	o.level = high
	if !high {
		o.fell = false
	}
	o.mu.Unlock()
	if o.line != nil {
		o.line.Set(high)
	}
	o.mu.Lock()
}
