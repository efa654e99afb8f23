package rtc

import (
	"sync"
	"time"

	"github.com/husk-vm/husk/devices"
)

// Size is how many ports an RTC decodes: the index at 0 and the data at 1.
const Size = 2

const (
	portIndex = 0
	portData  = 1
	indexMask = 0x7f // bit 7 of the index port is the PC's NMI mask, which has nothing to mask here
	ramSize   = 128
)

// Registers [MC146818 "Address Map"]. Those from 0x0e on are memory, except the century.
const (
	regSeconds = 0x00 // each alarm register follows the register it is compared with
	regMinutes = 0x02
	regHours   = 0x04
	regWeekday = 0x06 // 1 is Sunday
	regDay     = 0x07
	regMonth   = 0x08
	regYear    = 0x09
	regA       = 0x0a
	regB       = 0x0b
	regC       = 0x0c
	regD       = 0x0d
	regCentury = 0x32
)

// Register A: divider and rate.
const (
	aUpdating = 1 << 7   // UIP, read-only
	aDefault  = 2<<4 | 6 // DV: 32.768 kHz, RS: 1024 Hz

	// updateTime is how long before a new second UIP rises: the time that software has to read the registers if it
	// found UIP low [MC146818 "Update Cycle"].
	updateTime = 244 * time.Microsecond
)

// Register B: modes.
const (
	bHours24 = 1 << 1 // 24/12
	bBinary  = 1 << 2 // DM: binary, else BCD
	bSet     = 1 << 7 // SET: no updates, the registers hold what is written
	bDefault = bHours24
)

const (
	cUpdateEnded = 1 << 4 // register C, UF
	dValid       = 1 << 7 // register D, VRT: the battery never failed
	hourPM       = 1 << 7 // of the hours register in 12-hour mode
)

// RTC is a real-time clock that follows a clock of the host. The guest may set it: it then runs at an offset of whole
// seconds to the host's clock, to the second as the hardware does. Registers show UTC.
//
// It never interrupts and has no line: the alarm, periodic and update-ended interrupt enables of register B and the
// alarm registers are kept for the guest to read and have no effect. Of register C's flags only UF lives, for guests
// that poll for the next second. The divider bits of register A are kept too, but do not stop the clock.
//
// Any goroutine may call any method.
type RTC struct {
	clock func() time.Time

	mu     sync.Mutex
	index  uint8         // guarded by mu
	ram    [ramSize]byte // registers as written; time and date count only while SET is set; guarded by mu
	offset int64         // seconds that the guest's clock is ahead of the host's, guarded by mu
	seen   int64         // second of the guest's clock when register C was last read, guarded by mu
}

// New returns a clock that shows clock's time. clock is called from any goroutine, with the device locked: it must not
// wait, nor call the device.
func New(clock func() time.Time) *RTC {
	r := &RTC{clock: clock}
	r.reset()
	r.seen = r.now().Unix()
	return r
}

// Reset brings registers A and B and the index to their power-on values. Memory and the time survive, as on a battery.
func (r *RTC) Reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ram[regB]&bSet != 0 {
		r.commit()
	}
	r.reset()
}

func (r *RTC) reset() {
	r.index, r.ram[regA], r.ram[regB] = 0, aDefault, bDefault
}

// Read implements devices.Device.
func (r *RTC) Read(off uint64, p []byte) {
	for i := range p {
		p[i] = 0xff // the index port cannot be read on a PC
	}
	if off > portData || off+uint64(len(p)) <= portData {
		return
	}
	r.mu.Lock()
	p[portData-off] = r.register(r.index)
	r.mu.Unlock()
}

// Write implements devices.Device. A 16-bit write to the index port sets the index and then that register, as the bus
// of a PC cuts it.
func (r *RTC) Write(off uint64, p []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, v := range p {
		switch at := max(off, off+uint64(i)); at {
		case portIndex:
			r.index = v & indexMask
		case portData:
			r.setRegister(r.index, v)
		}
	}
}

// register is the value of one register. Reading register C clears it.
// Preconditions: mu is held.
func (r *RTC) register(index uint8) uint8 {
	switch index {
	case regA:
		v := r.ram[regA]
		if now := r.now(); r.running() && now.Nanosecond() >= int(time.Second-updateTime) {
			v |= aUpdating
		}
		return v
	case regC:
		last := r.seen
		if r.seen = r.now().Unix(); r.running() && r.seen != last {
			return cUpdateEnded
		}
		return 0
	case regD:
		return dValid
	}
	if isTime(index) && r.running() {
		return r.encode(index, r.now())
	}
	return r.ram[index]
}

// setRegister writes one register.
// Preconditions: mu is held.
func (r *RTC) setRegister(index, v uint8) {
	switch {
	case index == regA:
		r.ram[regA] = v &^ aUpdating
	case index == regB:
		was := r.running()
		if was && v&bSet != 0 {
			r.freeze() // in the old mode: the hardware converts nothing either
		}
		r.ram[regB] = v
		if !was && r.running() {
			r.commit()
		}
	case index == regC || index == regD: // read-only
	case isTime(index) && r.running():
		r.freeze()
		r.ram[index] = v
		r.commit()
	default:
		r.ram[index] = v
	}
}

// running reports whether time passes in the registers.
func (r *RTC) running() bool { return r.ram[regB]&bSet == 0 }

// now is the guest's time.
func (r *RTC) now() time.Time {
	t := r.clock()
	return time.Unix(t.Unix()+r.offset, int64(t.Nanosecond())).UTC()
}

// freeze stores the present time in the registers.
func (r *RTC) freeze() {
	now := r.now()
	for _, index := range timeRegisters {
		r.ram[index] = r.encode(index, now)
	}
}

// commit makes the clock run on from the time in the registers. A clock that is set has not ended an update: seen moves
// along, so that setting it back by a second does not hide the next one.
func (r *RTC) commit() {
	old := r.offset
	r.offset = r.decode().Unix() - r.clock().Unix()
	r.seen += r.offset - old
}

var _ devices.Device = (*RTC)(nil)
