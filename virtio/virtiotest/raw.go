package virtiotest

// Desc is one descriptor as a driver writes it, right or wrong [VIRTIO §2.7.5].
type Desc struct {
	Addr  uint64
	Len   uint32
	Flags uint16
	Next  uint16
}

// Flags of descriptors.
const (
	DescNext     = 1 // VIRTQ_DESC_F_NEXT
	DescWrite    = 2 // VIRTQ_DESC_F_WRITE
	DescIndirect = 4 // VIRTQ_DESC_F_INDIRECT
)

// SetDesc writes entry i of the descriptor table, as it is.
func (q *Queue) SetDesc(i uint16, d Desc) {
	var b [16]byte
	PutDesc(b[:], d.Addr, d.Len, d.Flags, d.Next)
	q.must(q.Desc.Write(16*uint64(i), b[:]))
}

// SetTable writes descriptors to guest address addr, as an indirect table.
func (q *Queue) SetTable(addr uint64, ds ...Desc) {
	b := make([]byte, 16*len(ds))
	for i, d := range ds {
		PutDesc(b[16*i:], d.Addr, d.Len, d.Flags, d.Next)
	}
	r, err := q.d.Mem.Range(gpa(addr), uint64(len(b)))
	q.must(err)
	q.must(r.Write(0, b))
}

// PostRaw makes a chain of descriptors written with SetDesc available. The device may use it once, and write up to
// writable bytes.
func (q *Queue) PostRaw(head uint16, writable uint64) {
	if head < q.Size && q.flight[head] == nil {
		q.flight[head] = &chain{writable: writable}
		q.inFlight++
	}
	q.PostHead(head)
}
