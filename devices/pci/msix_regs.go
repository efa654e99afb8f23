package pci

import (
	"encoding/binary"

	"github.com/husk-vm/husk/devices"
)

// msixControl is the body of the capability [PCI §6.8.2]:
//
//	0         2              6            10
//	+---------+--------------+------------+
//	| control | table offset | PBA offset |
//	+---------+--------------+------------+
type msixControl MSIX

// Read implements devices.Device.
func (c *msixControl) Read(off uint64, p []byte) {
	var body [10]byte
	binary.LittleEndian.PutUint16(body[:], c.control())
	copy(body[2:], c.location[:])
	copy(p, body[off:])
}

func (c *msixControl) control() uint16 {
	c.mu.Lock()
	defer c.mu.Unlock()
	v := uint16(len(c.entries) - 1)
	if c.enabled {
		v |= msixEnable
	}
	if c.masked {
		v |= msixFunctionMask
	}
	return v
}

// Write implements devices.Device: the two upper bits of the control word are the guest's.
func (c *msixControl) Write(off uint64, p []byte) {
	if off > 1 || off == 0 && len(p) < 2 {
		return
	}
	hi := p[1-off]
	(*MSIX)(c).updateAll(hi&(msixEnable>>8) != 0, hi&(msixFunctionMask>>8) != 0)
}

// Table is the MSI-X table, 16 bytes a vector [PCI §6.8.2.4]:
//
//	0            4             8      12                16
//	+------------+-------------+------+-----------------+
//	| address lo | address hi  | data | control: masked |
//	+------------+-------------+------+-----------------+
//
// Reads of any width give what is there; writes count as aligned words of 4 or 8 bytes, others are dropped.
func (m *MSIX) Table() devices.Device { return (*msixTable)(m) }

type msixTable MSIX

func (t *msixTable) Read(off uint64, p []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range p {
		o := off + uint64(i)
		if o/msixEntrySize >= uint64(len(t.entries)) {
			p[i] = 0xff
			continue
		}
		word := t.entries[o/msixEntrySize].word(o % msixEntrySize / 4)
		p[i] = byte(word >> (o % 4 * 8))
	}
}

func (t *msixTable) Write(off uint64, p []byte) {
	if len(p) != 4 && len(p) != 8 || off%uint64(len(p)) != 0 || off/msixEntrySize >= uint64(len(t.entries)) {
		return
	}
	i := int(off / msixEntrySize)
	t.mu.Lock()
	for o := 0; o < len(p); o += 4 {
		t.entries[i].setWord((off%msixEntrySize+uint64(o))/4, binary.LittleEndian.Uint32(p[o:]))
	}
	v := (*MSIX)(t).update(i)
	t.mu.Unlock()
	if v != nil {
		v.Raise()
	}
}

const msixEntryMasked = 1 // PCI_MSIX_ENTRY_CTRL_MASKBIT

func (e *msixEntry) word(i uint64) uint32 {
	switch i {
	case 0:
		return uint32(e.msg.Addr)
	case 1:
		return uint32(e.msg.Addr >> 32)
	case 2:
		return e.msg.Data
	}
	v := e.control
	if e.masked {
		v |= msixEntryMasked
	}
	return v
}

func (e *msixEntry) setWord(i uint64, v uint32) {
	switch i {
	case 0:
		e.msg.Addr = e.msg.Addr&^0xffffffff | uint64(v)
	case 1:
		e.msg.Addr = e.msg.Addr&0xffffffff | uint64(v)<<32
	case 2:
		e.msg.Data = v
	default:
		e.control = v &^ msixEntryMasked
		e.masked = v&msixEntryMasked != 0
	}
}

// PBA is the array of pending bits, one a vector, read-only [PCI §6.8.2.5].
func (m *MSIX) PBA() devices.Device { return (*msixPBA)(m) }

type msixPBA MSIX

func (t *msixPBA) Read(off uint64, p []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range p {
		p[i] = 0
		for bit := range 8 {
			if n := (off+uint64(i))*8 + uint64(bit); n < uint64(len(t.entries)) && t.entries[n].pending {
				p[i] |= 1 << bit
			}
		}
	}
}

func (*msixPBA) Write(uint64, []byte) {}
