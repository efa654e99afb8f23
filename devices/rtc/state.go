package rtc

import "fmt"

// maxOffset is more seconds than any two dates that registers can hold are apart: 30 000 years. It keeps sums of
// seconds far from overflow.
const maxOffset = 30_000 * 366 * 86_400

// State is everything a guest can tell one RTC from another by.
type State struct {
	Index  uint8         // 0..127
	RAM    [ramSize]byte // registers as written; time and date count only while SET (bit 7 of 0x0b) is set
	Offset int64         // seconds that the guest's clock is ahead of the host's
	Seen   int64         // Unix time of the guest's clock when register C was last read
}

// State returns the state.
func (r *RTC) State() State {
	r.mu.Lock()
	defer r.mu.Unlock()
	return State{r.index, r.ram, r.offset, r.seen}
}

// SetState replaces the state. The clock shows the present time of the host it is restored on, plus the saved offset. A
// state that no RTC can have is refused.
func (r *RTC) SetState(s State) error {
	switch {
	case s.Index&^indexMask != 0:
		return fmt.Errorf("restore rtc: index %d is more than seven bits", s.Index)
	case s.Offset < -maxOffset || s.Offset > maxOffset:
		return fmt.Errorf("restore rtc: offset of %d s is beyond the calendar", s.Offset)
	case s.RAM[regA]&aUpdating != 0 || s.RAM[regC] != 0 || s.RAM[regD] != 0:
		return fmt.Errorf("restore rtc: read-only bits are set")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.index, r.ram, r.offset, r.seen = s.Index, s.RAM, s.Offset, s.Seen
	return nil
}
