package guestmem

import (
	"sync"
	"sync/atomic"
)

const (
	leaseShards = 8              // a power of two; one for each of the few threads that run devices at once
	leaseClosed = int64(1) << 62 // set in a shard's count when no lease is given any more
)

// leases counts the accesses under way, so that Close unmaps only when there are none. The count is spread over shards
// by page address: queues of different devices live in different pages, and then do not share a cache line.
type leases struct {
	shards [leaseShards]shard
	once   sync.Once
	err    error // of the unmap; written inside once
}

type shard struct {
	n    atomic.Int64
	idle chan struct{} // one slot: the count came down to zero after close
	_    [48]byte      // a cache line each
}

func (l *leases) init() {
	for i := range l.shards {
		l.shards[i].idle = make(chan struct{}, 1)
	}
}

// shardOf picks the shard for an offset into a region.
func shardOf(off uint64) int { return int(off/PageSize) % leaseShards }

// enter takes a lease, or returns false after close. It never waits, so a lease within a lease cannot deadlock.
func (l *leases) enter(i int) bool {
	if l.shards[i].n.Add(1) < leaseClosed {
		return true
	}
	l.leave(i)
	return false
}

func (l *leases) leave(i int) {
	s := &l.shards[i]
	if s.n.Add(-1) == leaseClosed {
		select {
		case s.idle <- struct{}{}:
		default:
		}
	}
}

// close stops new leases, waits for the old ones, and runs unmap; once.
func (l *leases) close(unmap func() error) error {
	l.once.Do(func() {
		for i := range l.shards {
			s := &l.shards[i]
			s.n.Add(leaseClosed)
			for s.n.Load() != leaseClosed {
				<-s.idle
			}
		}
		l.err = unmap()
	})
	return l.err
}
