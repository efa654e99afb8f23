package proto

import (
	"encoding/binary"
	"fmt"
)

// A string is its length (LE32) and its bytes; a list is its count (LE32) and its items.

func appendString(b []byte, s string) []byte {
	b = binary.LittleEndian.AppendUint32(b, uint32(len(s)))
	return append(b, s...)
}

func appendStrings(b []byte, list []string) []byte {
	b = binary.LittleEndian.AppendUint32(b, uint32(len(list)))
	for _, s := range list {
		b = appendString(b, s)
	}
	return b
}

func appendUint16(b []byte, v uint16) []byte { return binary.LittleEndian.AppendUint16(b, v) }
func appendUint32(b []byte, v uint32) []byte { return binary.LittleEndian.AppendUint32(b, v) }
func appendUint64(b []byte, v uint64) []byte { return binary.LittleEndian.AppendUint64(b, v) }

// cursor decodes a payload. After the first fault all reads return zero values and bad stays set.
// What it allocates is bounded by the payload's own size.
type cursor struct {
	p   []byte
	bad bool
}

// take returns the next n bytes of the payload, not a copy.
func (c *cursor) take(n uint64) []byte {
	if c.bad || n > uint64(len(c.p)) {
		c.bad = true
		return nil
	}
	v := c.p[:n]
	c.p = c.p[n:]
	return v
}

func (c *cursor) uint8() uint8 {
	if v := c.take(1); v != nil {
		return v[0]
	}
	return 0
}

func (c *cursor) uint16() uint16 {
	if v := c.take(2); v != nil {
		return binary.LittleEndian.Uint16(v)
	}
	return 0
}

func (c *cursor) uint32() uint32 {
	if v := c.take(4); v != nil {
		return binary.LittleEndian.Uint32(v)
	}
	return 0
}

func (c *cursor) uint64() uint64 {
	if v := c.take(8); v != nil {
		return binary.LittleEndian.Uint64(v)
	}
	return 0
}

// string reads a string of at most bound bytes.
func (c *cursor) string(bound uint32) string {
	n := c.uint32()
	if n > bound {
		c.bad = true
		return ""
	}
	return string(c.take(uint64(n)))
}

// strings reads a list of at most MaxStrings strings.
func (c *cursor) strings() []string {
	n := c.count(MaxStrings, 4)
	if n == 0 {
		return nil
	}
	list := make([]string, n)
	for i := range list {
		list[i] = c.string(MaxExec)
	}
	return list
}

// count reads the length of a list: no more than bound, and no more than items of size bytes fit into the rest of the payload.
func (c *cursor) count(bound, size uint32) uint32 {
	n := c.uint32()
	if n > bound || uint64(n)*uint64(size) > uint64(len(c.p)) {
		c.bad = true
	}
	if c.bad {
		return 0
	}
	return n
}

// err returns nil, or ErrBad with the message's name.
func (c *cursor) err(name string) error {
	if c.bad {
		return fmt.Errorf("proto: %s: %w", name, ErrBad)
	}
	return nil
}
