package linux

// struct hvm_start_info, version 1, with its module list and memory map behind it [PVH].
const (
	pvhMagic     = 0x336ec578
	pvhVersion   = 1
	pvhInfoSize  = 56
	pvhModSize   = 32
	pvhMapSize   = 24
	pvhModBase   = pvhBase + pvhInfoSize
	pvhMapBase   = pvhModBase + pvhModSize
	pvhStructMax = pvhInfoSize + pvhModSize + e820Max*pvhMapSize
)

// preparePVH makes the start info, GDT and registers for a 32-bit entry.
func (l *layouter) preparePVH(entry uint64) {
	b := make([]byte, pvhStructMax)
	le.PutUint32(b, pvhMagic)
	le.PutUint32(b[4:], pvhVersion)
	if l.plan.Initrd.Size > 0 {
		le.PutUint32(b[12:], 1) // nr_modules; the first one is the initrd
		le.PutUint64(b[16:], pvhModBase)
		mod := b[pvhInfoSize:]
		le.PutUint64(mod, l.plan.Initrd.Base)
		le.PutUint64(mod[8:], l.plan.Initrd.Size)
	}
	le.PutUint64(b[24:], cmdlineBase)
	le.PutUint64(b[32:], l.p.RSDP)
	le.PutUint64(b[40:], pvhMapBase)
	le.PutUint32(b[48:], uint32(len(l.plan.Map)))
	for i, r := range l.plan.Map {
		m := b[pvhMapBase-pvhBase+i*pvhMapSize:]
		le.PutUint64(m, r.Base)
		le.PutUint64(m[8:], r.Size)
		le.PutUint32(m[16:], uint32(r.Type))
	}
	l.add(Segment{Name: "PVH start info", Addr: pvhBase, Data: b[:pvhMapBase-pvhBase+len(l.plan.Map)*pvhMapSize]})
	l.newEntry(Protected32, entry).RBX = pvhBase
}
