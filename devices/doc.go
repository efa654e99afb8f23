// Package devices holds what every emulated device shares: registers on a bus, interrupt lines, message-signalled
// interrupts and doorbells.
//
// Owns: Device, Bus, Line, Output, MSI, Doorbell and its portable form.
// Must not know: guest RAM, hypervisors, the addresses a machine chooses.
// Stability: a part of the house, no compatibility promise.
package devices
