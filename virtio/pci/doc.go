// Package pci is the PCI transport of virtio devices, modern interface only.
//
// Owns: the registers of a virtio PCI function: common configuration, notifications, ISR, device configuration, the
// access window in configuration space, MSI-X vectors.
// Must not know: rings, the status machine (virtio.Core has it), device types.
// Spec: VIRTIO 1.2 §4.1, see docs/SPECS.md.
// Stability: a part of the house, no compatibility promise.
//
// Every access of any width at any offset is answered: fields read at any width, and are written at their own width or
// not at all [VIRTIO §4.1.3.1]. Not offered: the legacy interface, INTx, queue_reset, notification data.
package pci
