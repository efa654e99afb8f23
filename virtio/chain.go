package virtio

import "github.com/husk-vm/husk/internal/guestmem"

// Chain is one request: device-readable bytes first, then device-writable ones [VIRTIO §2.7.4.2]. All its ranges were
// checked by Pop. It is valid until Release and belongs to the queue's worker.
type Chain struct {
	q                  *Queue
	segs               []guestmem.Range // the pieces that are not empty, readable ones first
	inline             []guestmem.Range // what segs is while the chain is short
	reads              int              // segs[:reads] are readable, the rest is writable
	readable, writable uint64
	head               uint16
	held               bool
}

// maxChainBytes is the most bytes one chain may have in all [VIRTIO §2.7.5.2].
const maxChainBytes = 1 << 32

// Readable and Writable are the lengths of the two parts, in bytes.
func (c *Chain) Readable() uint64 { return c.readable }

// Writable is the length of the writable part, in bytes.
func (c *Chain) Writable() uint64 { return c.writable }

// walk copies the chain's descriptors, each once, and checks the copies. It returns false if the queue has no room for
// so many pieces before other chains are released.
//
// Bound: limit descriptors in all, so a cycle ends; of the table itself no more than size.
func (c *Chain) walk() (bool, error) {
	q := c.q
	table, entries, i := q.desc, uint32(q.size), uint32(c.head)
	inTable := false // in an indirect table
	for n := uint32(1); ; n++ {
		if n > uint32(q.limit) || !inTable && n > uint32(q.size) {
			return false, guestErrorf("descriptor chain", "head %d: more than %d descriptors", c.head, q.limit)
		}
		var d descriptor
		if err := table.Read(uint64(i)*descSize, d[:]); err != nil {
			return false, err
		}
		if d.flags().has(descIndirect) {
			t, err := q.indirectTable(&d, inTable)
			if err != nil {
				return false, err
			}
			table, entries, i, inTable = t, uint32(d.len()/descSize), 0, true
			n-- // the table's own entries count
			continue
		}
		if ok, err := c.add(&d); !ok || err != nil {
			return false, err
		}
		if !d.flags().has(descNext) {
			return true, nil
		}
		i = uint32(d.next())
		if i >= entries {
			return false, guestErrorf("descriptor chain", "next %d of %d", i, entries)
		}
	}
}

// indirectTable checks a descriptor that points to a table of descriptors [VIRTIO §2.7.5.3].
func (q *Queue) indirectTable(d *descriptor, nested bool) (guestmem.Range, error) {
	switch {
	case !q.indirect:
		return guestmem.Range{}, guestErrorf("indirect table", "not negotiated")
	case nested:
		return guestmem.Range{}, guestErrorf("indirect table", "inside of an indirect table")
	case d.flags().has(descNext):
		return guestmem.Range{}, guestErrorf("indirect table", "with a next descriptor")
	case d.len() == 0 || d.len()%descSize != 0 || d.len()/descSize > uint32(q.limit):
		return guestmem.Range{}, guestErrorf("indirect table", "%d bytes", d.len())
	}
	t, err := q.mem.Range(d.addr(), uint64(d.len()))
	if err != nil {
		return guestmem.Range{}, guestErrorf("indirect table", "%v", err)
	}
	return t, nil
}

// add appends the bytes that d describes. It returns false without an error if there is no room.
func (c *Chain) add(d *descriptor) (bool, error) {
	n := uint64(d.len())
	write := d.flags().has(descWrite)
	switch {
	case !write && c.writable != 0:
		return false, guestErrorf("descriptor chain", "head %d: readable after writable", c.head)
	case n > maxChainBytes-c.readable-c.writable:
		return false, guestErrorf("descriptor chain", "head %d: more than 4 GiB", c.head)
	case n == 0:
		return true, nil // legal, and nothing to lend; its address is never used
	}
	r, err := c.q.mem.Range(d.addr(), n)
	if err != nil {
		return false, guestErrorf("descriptor chain", "head %d: %v", c.head, err)
	}
	if len(c.segs) == cap(c.segs) {
		segs, ok := c.q.segs.grow(c.segs)
		if c.segs = segs; !ok {
			return false, nil
		}
	}
	c.segs = append(c.segs, r)
	if write {
		c.writable += n
	} else {
		c.readable += n
		c.reads++
	}
	return true, nil
}

// ReadAt copies len(p) bytes out of the readable part from off on; a short part gives a *GuestError.
func (c *Chain) ReadAt(p []byte, off uint64) error {
	if err := inside("readable", off, uint64(len(p)), c.readable); err != nil {
		return err
	}
	for _, r := range c.segs[:c.reads] {
		if len(p) == 0 {
			break
		}
		if off >= r.Len() {
			off -= r.Len()
			continue
		}
		n := min(uint64(len(p)), r.Len()-off)
		if err := r.Read(off, p[:n]); err != nil {
			return err
		}
		p, off = p[n:], 0
	}
	return nil
}

// WriteAt copies p into the writable part from off on; a short part gives a *GuestError.
func (c *Chain) WriteAt(p []byte, off uint64) error {
	if err := inside("writable", off, uint64(len(p)), c.writable); err != nil {
		return err
	}
	for _, r := range c.segs[c.reads:] {
		if len(p) == 0 {
			break
		}
		if off >= r.Len() {
			off -= r.Len()
			continue
		}
		n := min(uint64(len(p)), r.Len()-off)
		if err := r.Write(off, p[:n]); err != nil {
			return err
		}
		p, off = p[n:], 0
	}
	return nil
}

// WithReadable lends n bytes of the readable part from off on, as pieces of guest RAM; they die when fn returns, and
// the guest may change them at any time. Lends may be nested. An error of fn is returned as it is.
func (c *Chain) WithReadable(off, n uint64, fn func(bufs [][]byte) error) error {
	if err := inside("readable", off, n, c.readable); err != nil {
		return err
	}
	return c.q.lend(c.segs[:c.reads], off, n, guestmem.ReadOnly, fn)
}

// WithWritable lends n bytes of the writable part from off on and marks them dirty.
func (c *Chain) WithWritable(off, n uint64, fn func(bufs [][]byte) error) error {
	if err := inside("writable", off, n, c.writable); err != nil {
		return err
	}
	return c.q.lend(c.segs[c.reads:], off, n, guestmem.ReadWrite, fn)
}

// lend keeps the slices in the queue's scratch, behind those of an outer lend.
func (q *Queue) lend(segs []guestmem.Range, off, n uint64, access guestmem.Access, fn func([][]byte) error) error {
	mark := len(q.bufs)
	end := mark + len(segs)
	if end > cap(q.bufs) {
		q.bufs = append(make([][]byte, 0, 2*end), q.bufs...) // bounded by limit for each nesting
	}
	q.bufs = q.bufs[:end]
	defer q.unlend(mark)
	return guestmem.Lend(segs, off, n, access, q.bufs[mark:mark:end], fn)
}

// unlend forgets the slices, so that none outlives its lease.
func (q *Queue) unlend(mark int) {
	clear(q.bufs[mark:])
	q.bufs = q.bufs[:mark]
}

func inside(part string, off, n, total uint64) error {
	if off > total || n > total-off {
		return guestErrorf("descriptor chain", "%d bytes at %d of %d %s ones", n, off, total, part)
	}
	return nil
}

// Release gives the chain back to the driver, saying that the first written bytes of the writable part were filled.
// The driver sees it at the next Flush or Wait.
func (c *Chain) Release(written uint32) {
	if !c.held {
		panic("BUG: virtio: chain released twice")
	}
	if uint64(written) > c.writable {
		panic("BUG: virtio: chain released with more bytes than it has")
	}
	c.q.putUsed(c.head, written)
	c.drop()
	c.held = false
	c.q.held--
	c.q.starved = false
}

// drop forgets the pieces.
func (c *Chain) drop() {
	c.q.segs.put(c.segs)
	c.segs = c.inline
	c.reads, c.readable, c.writable = 0, 0, 0
}
