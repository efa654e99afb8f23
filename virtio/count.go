package virtio

import "sync/atomic"

// counters count what the data path does instead of logging it.
type counters struct {
	pops, sent, suppressed, errors atomic.Uint64
}

// QueueCounters are totals since the driver set DRIVER_OK.
type QueueCounters struct {
	Chains     uint64 // chains taken
	Sent       uint64 // notifications of used chains sent to the driver
	Suppressed uint64 // and those it did not want
	Errors     uint64 // ring errors of the driver; after the first the queue is broken
}

// Counters may be called from any goroutine.
func (q *Queue) Counters() QueueCounters {
	return QueueCounters{
		Chains: q.count.pops.Load(), Sent: q.count.sent.Load(),
		Suppressed: q.count.suppressed.Load(), Errors: q.count.errors.Load(),
	}
}
