package kvm

import (
	"encoding/binary"
	"fmt"

	"github.com/husk-vm/husk/internal/hv"
)

// Layout of struct kvm_msrs: a count, padding, then struct kvm_msr_entry.
const (
	msrHeader = 8
	msrEntry  = 16
	msrData   = 8

	msrBatch = 255 // the kernel takes fewer than 256 at once (MAX_IO_MSRS)
)

// MSRs fills in the Value of each entry. The first one that the kernel does not know is named in the error.
func (v *VCPU) MSRs(entries []hv.MSREntry) error {
	return v.eachBatch("read", getMSRs, entries, func(batch []hv.MSREntry, b []byte) {
		for i := range batch {
			batch[i].Value = binary.NativeEndian.Uint64(b[msrHeader+i*msrEntry+msrData:])
		}
	})
}

// SetMSRs sets the entries in order. The first one that is refused is named in the error; those before it are set.
func (v *VCPU) SetMSRs(entries []hv.MSREntry) error {
	return v.eachBatch("set", setMSRs, entries, func([]hv.MSREntry, []byte) {})
}

// eachBatch makes the request for all entries, and calls done after each that went well. The kernel's answer is how
// many entries it worked off: fewer than asked means that the next one was refused.
func (v *VCPU) eachBatch(op string, req request, entries []hv.MSREntry, done func([]hv.MSREntry, []byte)) error {
	for len(entries) > 0 {
		batch := entries[:min(len(entries), msrBatch)]
		b := encodeMSRs(batch)
		n, err := ioctlWith(v.fd, req, &b[0])
		if err != nil {
			return fmt.Errorf("kvm: %s msrs of vcpu %d: %w", op, v.id, err)
		}
		if n < len(batch) {
			return fmt.Errorf("kvm: %s msrs of vcpu %d: msr %#x refused", op, v.id, batch[n].Index)
		}
		done(batch, b)
		entries = entries[len(batch):]
	}
	return nil
}

func encodeMSRs(entries []hv.MSREntry) []byte {
	b := make([]byte, msrHeader+len(entries)*msrEntry)
	binary.NativeEndian.PutUint32(b, uint32(len(entries)))
	for i, m := range entries {
		e := b[msrHeader+i*msrEntry:]
		binary.NativeEndian.PutUint32(e, m.Index)
		binary.NativeEndian.PutUint64(e[msrData:], m.Value)
	}
	return b
}
