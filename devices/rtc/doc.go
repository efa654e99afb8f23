// Package rtc is the MC146818 real-time clock with the CMOS memory of a PC, ports 0x70 and 0x71.
//
// Owns: time and date registers, their BCD and 12-hour forms, the offset between the guest's clock and the host's.
// Must not know: the host's clock (it is handed in), time zones: registers show UTC.
// Spec: Motorola MC146818A data sheet [MC146818]; register 0x32 is the century that a FADT names [ACPI §5.2.9].
// Stability: a part of the house, no compatibility promise.
package rtc
