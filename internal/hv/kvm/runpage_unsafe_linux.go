//go:build linux && amd64

package kvm

import (
	"sync/atomic"
	"unsafe"
)

// flagWord is the first word of the page. Byte 1 of it is immediate_exit, which other threads set: while it is not zero
// KVM_RUN finishes what is half done and returns EINTR without entering the guest.
func (p runPage) flagWord() *uint32 {
	// Safety: p is at least runPageSize long and begins on a page, so its first word is there and aligned.
	return (*uint32)(unsafe.Pointer(unsafe.SliceData(p)))
}

// exitBit is the flag inside flagWord; all architectures of KVM that Husk knows are little-endian.
const exitBit = 1 << (8 * runImmediateExit)

// armExit makes the present KVM_RUN, if it has not entered the guest yet, and every later one return EINTR.
func (p runPage) armExit() { atomic.OrUint32(p.flagWord(), exitBit) }

// disarmExit undoes armExit.
func (p runPage) disarmExit() { atomic.AndUint32(p.flagWord(), ^uint32(exitBit)) }
