//go:build amd64 || arm64

package guestmem

// Package sync/atomic has no 16-bit operations, and a 32-bit one would write the neighbour of a ring index, which
// belongs to the driver.

// load16 loads the two bytes at p, which is even, with acquire order (arm64: LDARH; amd64: any load).
//
//go:noescape
func load16(p *byte) uint16

// store16 stores two bytes at p, which is even, in sequentially consistent order (arm64: STLRH; amd64: XCHG).
//
//go:noescape
func store16(p *byte, v uint16)
