package virtio

import (
	"math/bits"

	"github.com/husk-vm/husk/internal/guestmem"
)

const (
	// inlineSegs is how many pieces a chain holds without borrowing: header, some data, status.
	inlineSegs = 8
	// maxSegs bounds the pieces of all chains of one queue together, beyond their inline ones: a guest that makes
	// every chain as long as it may costs the host this many Ranges (2 MiB), not queue size squared. A queue of 256
	// never meets it; a longer one is then served in smaller batches.
	maxSegs = 1 << 16
	// primeSegs is the longest chain for which a queue sets memory aside at activation.
	primeSegs = 1 << 10
)

// segPool lends the longer piece lists that chains need. Buffers have inlineSegs<<class places.
type segPool struct {
	free  [16][][]guestmem.Range
	total int // places in all buffers that exist, lent or free
}

// prime makes one buffer of each class up to a chain of limit pieces, so that a device which holds one chain at a time
// never allocates.
func (p *segPool) prime(limit int) {
	for n := 2 * inlineSegs; n < 2*min(limit, primeSegs); n *= 2 {
		p.put(make([]guestmem.Range, 0, n))
		p.total += n
	}
}

// grow returns a list with the contents of old and twice its room, and takes old back. It returns false if the queue
// has reached maxSegs: the chain must wait until others are released.
func (p *segPool) grow(old []guestmem.Range) ([]guestmem.Range, bool) {
	n := 2 * cap(old)
	class := segClass(n)
	var b []guestmem.Range
	if f := p.free[class]; len(f) > 0 {
		b, p.free[class] = f[len(f)-1], f[:len(f)-1]
	} else {
		if p.total+n > maxSegs {
			p.shrink()
		}
		if p.total+n > maxSegs {
			return old, false
		}
		b = make([]guestmem.Range, 0, n)
		p.total += n
	}
	b = append(b, old...)
	p.put(old)
	return b, true
}

// put takes a list back; inline ones stay with their chain.
func (p *segPool) put(b []guestmem.Range) {
	if class := segClass(cap(b)); class > 0 {
		p.free[class] = append(p.free[class], b[:0])
	}
}

// shrink drops all free buffers: their sizes are not the ones in demand.
func (p *segPool) shrink() {
	for class := range p.free {
		p.total -= len(p.free[class]) * inlineSegs << class
		clear(p.free[class])
		p.free[class] = p.free[class][:0]
	}
}

func segClass(n int) int { return bits.Len(uint(n/inlineSegs)) - 1 }
