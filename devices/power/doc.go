// Package power holds the few registers by which an x86 guest ends, restarts, times and reports itself: the sleep, reset
// and event registers of hardware-reduced ACPI, the PM timer, the keyboard controller's reset line, pvpanic and the
// POST port.
//
// Owns: the layout of these registers. Firmware tables repeat the offsets.
// Must not know: the addresses, and what a machine does when it powers off.
// Spec: [ACPI §4.8.3], [PVPANIC].
// Stability: a part of the house, no compatibility promise.
package power
