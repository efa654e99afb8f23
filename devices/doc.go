// Package devices holds what every emulated device shares: registers on a bus, interrupt lines, message-signalled
// interrupts and doorbells.
//
// Owns: Device, Bus, Line, MSI, Doorbell.
// Must not know: guest RAM, hypervisors, the addresses a machine chooses.
// Stability: a part of the house, no compatibility promise.
package devices
