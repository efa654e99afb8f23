package virtio

import (
	"context"
	"fmt"
)

// Pausing. busy is set while the worker may touch guest memory because of this queue: it is inside a method, holds a
// chain, or released one that is not published. It is cleared in Wait, whatever is held, and when nothing is held and
// everything is published. The worker sets busy and then looks at pausing; Pause sets pausing and then looks at busy:
// at least one of them sees the other.

// enter makes the worker busy, or returns false because the queue is pausing.
func (q *Queue) enter() bool {
	if !q.active {
		q.active = true
		q.busy.Store(true)
	}
	return !q.pausing.Load()
}

// rest makes the worker not busy.
func (q *Queue) rest() {
	if !q.active {
		return
	}
	q.active = false
	q.busy.Store(false)
	if q.pausing.Load() {
		select {
		case q.idle <- struct{}{}:
		default:
		}
	}
}

func (q *Queue) restIfEmpty() {
	if q.held == 0 && (q.put == q.told || q.broken != nil) {
		q.rest()
	}
}

// pause waits until the worker is in Wait, or holds nothing and has published everything. From then on to resume Pop
// returns nil and Wait does not look at the ring, so that nothing touches guest memory. If ctx ends first, the queue
// runs on.
func (q *Queue) pause(ctx context.Context) error {
	q.pausing.Store(true)
	for q.busy.Load() {
		select {
		case <-q.idle:
		case <-ctx.Done():
			q.resume()
			return fmt.Errorf("virtio: pause queue: %w", context.Cause(ctx))
		}
	}
	return nil
}

// resume lets the worker go on. Without pause it does nothing.
func (q *Queue) resume() {
	if q.pausing.Swap(false) {
		q.bell.Ring()
	}
}
