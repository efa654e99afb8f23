package blk

import "sync/atomic"

// Stats counts what a device did since it was made. Every field only grows.
type Stats struct {
	Read, Write, Flush, Discard, WriteZeroes, GetID OpStats
	// Unsupported are requests of a type or with flags that the device does not offer.
	Unsupported uint64
	// Broken are requests without room for a header or a status, and other misconduct that needs a reset.
	Broken uint64
}

// OpStats counts the requests of one type.
type OpStats struct {
	Requests uint64 // finished ones, failed ones included
	Bytes    uint64 // moved, discarded or zeroed by those that succeeded
	Errors   uint64 // answered with an I/O error, or with "unsupported" on behalf of the back end
}

// Stats returns the counters. Any goroutine; the fields are not taken at one instant.
func (d *Device) Stats() Stats {
	s := &d.stats
	return Stats{
		Read: s.read.load(), Write: s.write.load(), Flush: s.flush.load(),
		Discard: s.discard.load(), WriteZeroes: s.writeZeroes.load(), GetID: s.getID.load(),
		Unsupported: s.unsupported.Load(), Broken: s.broken.Load(),
	}
}

// LastError returns the latest error of the back end, or nil. The guest was told "I/O error"; this is for the host's user.
func (d *Device) LastError() error {
	if e := d.stats.last.Load(); e != nil {
		return e.err
	}
	return nil
}

// counters is the live form of Stats.
type counters struct {
	read, write, flush, discard, writeZeroes, getID opCounters
	unsupported, broken                             atomic.Uint64
	last                                            atomic.Pointer[lastError]
}

type lastError struct{ err error }

type opCounters struct{ requests, bytes, errors atomic.Uint64 }

func (c *opCounters) load() OpStats {
	return OpStats{c.requests.Load(), c.bytes.Load(), c.errors.Load()}
}

// done counts one finished request over n bytes.
func (c *opCounters) done(st status, n uint64) {
	c.requests.Add(1)
	if st != statusOK {
		c.errors.Add(1)
		return
	}
	if n > 0 {
		c.bytes.Add(n)
	}
}
