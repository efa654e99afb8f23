// Package virtio is the device side of virtio 1.x: features, the status machine, split virtqueues and descriptor chains.
//
// Owns: Device, Queue, Chain, GuestError; it is the only code that reads rings.
// Must not know: transports (virtio/pci), back ends of devices, hypervisors.
// Spec: VIRTIO 1.2, see docs/SPECS.md.
// Stability: a part of the house, no compatibility promise.
//
// The guest is hostile: a value is copied out of guest memory once, checked, and the copy used. Misconduct becomes a
// [GuestError]; the device then asks for a reset [VIRTIO §2.1.1 DEVICE_NEEDS_RESET] and the VM lives on.
package virtio
