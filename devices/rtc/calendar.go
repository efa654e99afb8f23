package rtc

import "time"

// timeRegisters are those that hold the time and date.
var timeRegisters = [...]uint8{
	regSeconds, regMinutes, regHours, regWeekday, regDay, regMonth, regYear, regCentury,
}

func isTime(index uint8) bool {
	for _, r := range timeRegisters {
		if r == index {
			return true
		}
	}
	return false
}

// encode is the value of a time register at t, in the modes of register B.
func (r *RTC) encode(index uint8, t time.Time) uint8 {
	switch index {
	case regSeconds:
		return r.number(t.Second())
	case regMinutes:
		return r.number(t.Minute())
	case regHours:
		return r.hours(t.Hour())
	case regWeekday:
		return r.number(int(t.Weekday()) + 1)
	case regDay:
		return r.number(t.Day())
	case regMonth:
		return r.number(int(t.Month()))
	case regYear:
		return r.number(year(t) % 100)
	default: // regCentury
		return r.number(year(t) / 100)
	}
}

// year is the year modulo the 10 000 that two registers can show. Years below 0 exist: the guest may set month 0.
func year(t time.Time) int { return (t.Year()%10_000 + 10_000) % 10_000 }

// number encodes 0..99 as binary or BCD.
func (r *RTC) number(n int) uint8 {
	if r.ram[regB]&bBinary != 0 {
		return uint8(n)
	}
	return uint8(n/10<<4 | n%10)
}

// value decodes what number encodes. What is no BCD digit counts as its value, as adders do.
func (r *RTC) value(v uint8) int {
	if r.ram[regB]&bBinary != 0 {
		return int(v)
	}
	return int(v>>4)*10 + int(v&0xf)
}

// hours encodes an hour, 0..23. Midnight and noon are 12 in 12-hour mode.
func (r *RTC) hours(h int) uint8 {
	if r.ram[regB]&bHours24 != 0 {
		return r.number(h)
	}
	v := r.number((h+11)%12 + 1)
	if h >= 12 {
		v |= hourPM
	}
	return v
}

// decode is the time in the registers. Impossible ones (the 40th of month 0) are carried over into possible ones, so the
// result is always a date of the years -1 to 25 777. The weekday is not looked at: it follows from the date.
func (r *RTC) decode() time.Time {
	reg := func(index uint8) int { return r.value(r.ram[index]) }
	h := reg(regHours)
	if r.ram[regB]&bHours24 == 0 {
		h = r.value(r.ram[regHours]&^hourPM) % 12
		if r.ram[regHours]&hourPM != 0 {
			h += 12
		}
	}
	return time.Date(reg(regCentury)*100+reg(regYear), time.Month(reg(regMonth)), reg(regDay),
		h, reg(regMinutes), reg(regSeconds), 0, time.UTC)
}
