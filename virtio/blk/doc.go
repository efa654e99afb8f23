// Package blk is the virtio block device [VIRTIO §5.2]: request format, back-end interfaces, one worker a queue.
//
// Owns: Device, Backend and its optional capabilities, the configuration layout, Stats, State.
// Must not know: files, image formats, transports, guest-physical addresses.
// Spec: VIRTIO 1.2 §5.2, see docs/SPECS.md.
// Stability: a part of the house, no compatibility promise.
//
// Data goes straight between guest memory and the back end: the device copies the 16-byte header, discard segments and
// the status byte, nothing else. Requests of one queue run one after the other; queues run side by side.
package blk
