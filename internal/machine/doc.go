// Package machine assembles an x86-64 PC: guest RAM, buses, interrupt controllers, a PCI root, device slots, firmware
// tables, the boot image, and the vCPU loops that run it.
//
// Owns: the address map, interrupt routing, vCPU threads, the order of start, pause, resume and stop.
// Must not know: what a device does, where its bytes come from, which hypervisor runs the vCPUs.
// Spec: ACPI 6.4 hardware-reduced platform, PCIe ECAM; see docs/SPECS.md.
// Stability: internal.
//
// The machine is the guest's architecture, not the host's: the same code runs x86-64 guests on every back end that
// offers x86 vCPUs, whatever the host CPU is.
package machine
