package pci

import "encoding/binary"

// remap makes the MMIO bus agree with the base address registers of all functions. A guest may move one onto another
// and then the other away: whoever was blocked gets its place as soon as it is free.
func (r *Root) remap() {
	r.maps.Lock()
	defer r.maps.Unlock()
	for _, f := range r.slots {
		f.eachBAR(func(b *bar) {
			if addr, want := f.wants(b); b.mapped && (!want || b.at != addr) {
				r.unmap(b)
			}
		})
	}
	for _, f := range r.slots {
		f.eachBAR(func(b *bar) {
			addr, want := f.wants(b)
			if !want {
				b.blocked = false
			} else if !b.mapped {
				r.tryMap(b, addr)
			}
		})
	}
}

func (f *Function) eachBAR(do func(*bar)) {
	if f == nil {
		return
	}
	for _, b := range f.bars {
		if b != nil {
			do(b)
		}
	}
}

// wants returns where the registers put b, and whether it answers there. Addresses outside of the machine's windows
// never reach a root complex's bus.
func (f *Function) wants(b *bar) (uint64, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	lo := offBAR0 + 4*b.index
	addr := uint64(binary.LittleEndian.Uint32(f.space[lo:]))
	if b.Wide {
		addr |= uint64(binary.LittleEndian.Uint32(f.space[lo+4:])) << 32
	}
	addr &= ^(b.Size - 1)
	cmd := command(binary.LittleEndian.Uint16(f.space[offCommand:]))
	return addr, cmd&commandMemory != 0 && f.root.forwards(addr, b.Size)
}

// tryMap maps b, unless something else answers there: then b does not.
func (r *Root) tryMap(b *bar, addr uint64) {
	if r.cfg.MMIO.Map(addr, b.Size, b.Device) != nil {
		if !b.blocked {
			b.blocked = true
			r.conflicts.Add(1)
		}
		return
	}
	b.at, b.mapped, b.blocked = addr, true, false
	if b.Moved != nil {
		b.Moved(addr, true)
	}
}

func (r *Root) unmap(b *bar) {
	b.mapped = false
	if b.Moved != nil {
		b.Moved(b.at, false)
	}
	if err := r.cfg.MMIO.Unmap(b.at); err != nil {
		panic("BUG: pci: " + err.Error()) // we mapped it
	}
}
