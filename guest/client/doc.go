// Package client is the host's side of the agent in a guest: processes shaped like os/exec, files in and out, clock, shutdown.
//
// Owns: the host's side of package proto.
// Must not know: vsock devices, VMs; it is handed a way to dial.
// Spec: package proto.
// Stability: a part of the house, no compatibility promise.
//
// Every byte that a guest sends is hostile. Replies are decoded within the bounds of package proto, a guest that breaks the protocol
// loses the connection, and what it sends is buffered up to a window and no further.
package client
