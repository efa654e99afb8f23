// Package pci is a PCI Express root complex as a guest sees it: configuration space, base addresses, MSI-X.
//
// Owns: Root (bus 0 with its host bridge, ECAM window, 0xCF8 ports), Function, MSIX.
// Must not know: virtio, guest RAM, the addresses a machine chooses.
// Spec: PCI Local Bus 3.0, PCI Express Base; see docs/SPECS.md.
// Stability: a part of the house, no compatibility promise.
//
// There is one bus, and each of its 32 slots holds one function. Functions interrupt by MSI-X only: the interrupt pin
// register reads 0, no INTx line exists. Every kernel that drives modern virtio devices has MSI-X (Linux since 2.6.25);
// a driver that does not enable it can still poll. That saves the machine a swizzled interrupt table in ACPI and a
// level-triggered line that all devices share.
//
// Nobody but us assigns addresses before the kernel runs, so functions wake up with their base addresses set and
// decoding off. The guest may move them inside the machine's windows; elsewhere, or on top of another device, a
// function does not answer, and everything else goes on.
package pci
