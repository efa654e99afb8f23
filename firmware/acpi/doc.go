// Package acpi writes the ACPI tables of an x86 machine without legacy hardware.
//
// Owns: RSDP, XSDT, FADT, MADT, MCFG, DSDT and the AML in it; the register layout of the power block.
// Must not know: guest RAM, devices, hypervisors; which addresses a machine chooses.
// Spec: [ACPI], [PCI-FW].
// Stability: a part of the house, no compatibility promise.
//
// The machine is hardware-reduced [ACPI §4.1]: there is no SCI, no PM1 block, no 8259 and no 8254. Power-off goes
// through the sleep control register, reset through the reset register, and the power button through a Generic Event
// Device. [Build] is a function from a [Desc] to bytes: the same description gives the same bytes.
package acpi
