// Package virtio is the device side of virtio 1.x: features, the status machine, split virtqueues and descriptor chains.
//
// Owns: Device, Core (the one status machine of all transports), Queue, Chain, GuestError; it is the only code that reads rings.
// Must not know: transports (virtio/pci), back ends of devices, hypervisors.
// Spec: VIRTIO 1.2, see docs/SPECS.md.
// Stability: a part of the house, no compatibility promise.
//
// The guest is hostile: a value is copied out of guest memory once, checked, and the copy used. Misconduct becomes a
// [GuestError]; the device then asks for a reset [VIRTIO §2.1.1 DEVICE_NEEDS_RESET] and the VM lives on.
//
// Three parties meet here. A transport owns a [Core] and turns registers into calls of it. A device implements [Device]
// and works between Start and Stop on the queues it is given, one goroutine a queue ([Workers], [Serve]). The machine
// pauses, resumes and resets through the Core, or through the transport around it.
package virtio
