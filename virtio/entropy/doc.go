// Package entropy is the virtio entropy device [VIRTIO §5.4]: random bytes for a guest, from a reader handed in.
//
// Owns: Device, Stats, State.
// Must not know: where the bytes come from, transports.
// Spec: VIRTIO 1.2 §5.4, see docs/SPECS.md.
// Stability: a part of the house, no compatibility promise.
package entropy
