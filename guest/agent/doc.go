// Package agent is the program in the guest that does what the host asks: run processes, copy files, tell and set things, shut down.
//
// Owns: the agent's side of package proto, and, as process 1, the guest's user space from the first mount to the last sync.
// Must not know: the host's side, virtio, anything outside the guest.
// Spec: package proto.
// Stability: a part of the house, no compatibility promise.
//
// The host is trusted with the guest, it owns it; its bytes are nevertheless checked and bounded, because process 1 must not
// die of a mistake. The operating system is behind an interface, so that all but that interface's Linux side runs on any host.
package agent
