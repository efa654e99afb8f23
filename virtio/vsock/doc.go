// Package vsock is the virtio socket device: stream sockets between the guest and its host [VIRTIO §5.10].
//
// Owns: the 44-byte packet header, the connections and their credit, the host's Dial and Listen, the workers of the three
// queues. Must not know: transports, hypervisors, what is said over a connection.
// Spec: VIRTIO 1.2 section 5.10, see docs/SPECS.md. Stream sockets only.
// Stability: a part of the house, no compatibility promise.
//
// The host side is in the shapes of package net: [Device.Dial] returns a [Conn] that is a net.Conn, [Device.Listen] a
// [Listener] that is a net.Listener. The host's context ID is always [HostCID].
//
// # How bytes travel
//
// Host to guest: Write leaves a reference to the caller's slice on the connection and waits. The worker of the receive
// queue visits connections round robin, one packet a visit, and copies from that slice straight into the guest's buffer.
// Nothing is queued in between, so a guest that does not read costs nothing but the blocked writer.
//
// Guest to host: the worker of the transmit queue copies a packet's payload into the connection's buffer, which Read
// empties. The buffer holds at most Config.Window bytes: that is the credit the guest was given, and a guest that sends
// more is cut off. The worker never waits for a reader.
//
// # Bounds
//
// A guest can make the host hold at most Config.MaxConns connections of Config.Window bytes each (plus two chunks), a
// backlog of [Backlog] unaccepted connections for each listener, and 256 resets to unknown connections.
package vsock
