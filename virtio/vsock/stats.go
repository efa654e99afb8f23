package vsock

import "sync/atomic"

// counters is the live form of Stats.
type counters struct {
	packetsToGuest, bytesToGuest     atomic.Uint64
	packetsFromGuest, bytesFromGuest atomic.Uint64
	dialed, refusedByGuest           atomic.Uint64
	accepted, refused                atomic.Uint64
	resets, violations, dropped      atomic.Uint64
	stalls                           atomic.Uint64
}

// Stats counts what a device did since New. Bytes are payload.
type Stats struct {
	PacketsToGuest, BytesToGuest     uint64
	PacketsFromGuest, BytesFromGuest uint64
	Dialed                           uint64 // connections that Dial made
	RefusedByGuest                   uint64 // those that the guest refused
	Accepted                         uint64 // connections that the guest made
	Refused                          uint64 // those that the host refused: no listener, or too many
	Resets                           uint64 // connections that the guest cut off
	Violations                       uint64 // connections cut off because the guest broke the protocol
	Dropped                          uint64 // packets of the guest without an answer: foreign CIDs, too many resets owed
	Stalls                           uint64 // times the host had to wait for receive buffers
	Conns                            int    // connections now
}

// Stats returns the counters, read one by one.
func (d *Device) Stats() Stats {
	d.mu.Lock()
	live := d.live
	d.mu.Unlock()
	n := &d.count
	return Stats{
		PacketsToGuest: n.packetsToGuest.Load(), BytesToGuest: n.bytesToGuest.Load(),
		PacketsFromGuest: n.packetsFromGuest.Load(), BytesFromGuest: n.bytesFromGuest.Load(),
		Dialed: n.dialed.Load(), RefusedByGuest: n.refusedByGuest.Load(),
		Accepted: n.accepted.Load(), Refused: n.refused.Load(),
		Resets: n.resets.Load(), Violations: n.violations.Load(), Dropped: n.dropped.Load(),
		Stalls: n.stalls.Load(), Conns: live,
	}
}
