// Package console is the virtio console device: consoles and named byte channels [VIRTIO §5.3].
//
// Owns: the control protocol of ports, the workers of the queues, the pumps between them and the host's readers and
// writers. Must not know: transports, terminals, what is said on a port.
// Spec: VIRTIO 1.2 section 5.3, see docs/SPECS.md.
// Stability: a part of the house, no compatibility promise.
//
// # One port or many
//
// A device with a single, nameless console port does not offer VIRTIO_CONSOLE_F_MULTIPORT. Linux then registers hvc0
// while it probes the device, so that it is there when init opens /dev/console; with MULTIPORT it registers it some
// messages later, and a fast boot has no console. Consoles therefore are best on a device of their own, and named ports
// on another.
//
// # Pumps
//
// A host's reader and writer may block for ever: a terminal on which nobody types, a pipe that nobody empties. So they
// are not called by the queues' workers, which must end when the guest resets the device, but by two pumps a port, with
// a bounded buffer in between, which outlive resets. What was read before a reset is for the next driver. A pump exists
// from the first byte on.
package console
