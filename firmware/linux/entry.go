package linux

// Mode is the state of the CPU that an entry point expects.
type Mode uint8

// The modes.
const (
	Long64      Mode = iota + 1 // 64-bit code, paging on, identity mapped [LINUX-BOOT "64-bit boot protocol"]
	Protected32                 // 32-bit code, paging off [PVH]
)

// SegmentReg is a segment register with its hidden part [SDM vol. 3A §3.4]. It is present, and its ring is 0.
type SegmentReg struct {
	Selector    uint16
	Base        uint64
	Limit       uint32
	Type        uint8 // descriptor type, 4 bits
	S, DB, L, G bool  // code or data (not system), 32-bit, 64-bit, limit in pages
}

// Entry holds the registers of the first vCPU; those it does not name are 0, interrupts are off.
type Entry struct {
	Mode                Mode
	RIP, RSP            uint64
	RSI                 uint64 // Long64: the zero page
	RBX                 uint64 // Protected32: the start info
	RFLAGS              uint64
	CR0, CR3, CR4, EFER uint64
	GDTBase             uint64
	GDTLimit            uint16
	// CS is as CS says; DS, ES, FS, GS and SS are all as DS. The IDT is empty (base 0, limit 0): the kernel brings its
	// own before it takes a fault.
	CS, DS, TR SegmentReg
}

// Bits of the control registers [SDM vol. 3A §2.5, §2.2.1].
const (
	cr0PE   = 1 << 0
	cr0ET   = 1 << 4 // hard-wired on every CPU with an FPU of its own
	cr0PG   = 1 << 31
	cr4PAE  = 1 << 5
	eferLME = 1 << 8
	eferLMA = 1 << 10

	rflagsFixed = 1 << 1
)

// Selectors of the boot GDT: __BOOT_CS and __BOOT_DS are 0x10 and 0x18 [LINUX-BOOT "64-bit boot protocol"].
const (
	selCS = 0x10
	selDS = 0x18
	selTR = 0x20
)

// Types of segment descriptors [SDM vol. 3A §3.4.5.1, §3.5].
const (
	typeData    = 3  // read and write, accessed
	typeCode    = 11 // execute and read, accessed
	typeTSSBusy = 11 // 32-bit or 64-bit TSS; a loaded TR is always busy
)

// tssLimit is the smallest TSS; VM entries check TR for it [SDM vol. 3C §26.3.1.2].
const tssLimit = 0x67

// newEntry fills in what both ways have in common, and writes the GDT. Its segments are flat.
func (l *layouter) newEntry(mode Mode, rip uint64) *Entry {
	e := &l.plan.Entry
	*e = Entry{
		Mode: mode, RIP: rip, RSP: stackBase + stackSize, RFLAGS: rflagsFixed, CR0: cr0PE | cr0ET,
		GDTBase: gdtBase, GDTLimit: gdtSize - 1,
		CS: SegmentReg{Selector: selCS, Limit: 1<<32 - 1, Type: typeCode, S: true, G: true, L: mode == Long64, DB: mode == Protected32},
		DS: SegmentReg{Selector: selDS, Limit: 1<<32 - 1, Type: typeData, S: true, G: true, DB: true},
		TR: SegmentReg{Selector: selTR, Limit: tssLimit, Type: typeTSSBusy},
	}
	gdt := make([]byte, gdtSize)
	le.PutUint64(gdt[selCS:], e.CS.descriptor())
	le.PutUint64(gdt[selDS:], e.DS.descriptor())
	le.PutUint64(gdt[selTR:], e.TR.descriptor()) // 16 bytes in long mode, of which the upper 8 are 0
	l.add(Segment{Name: "GDT", Addr: gdtBase, Data: gdt})
	return e
}

// descriptor is r as a GDT entry [SDM vol. 3A §3.4.5]. Present, ring 0.
//
//	63     56 55 54 53 52 51   48 47 46 45 44 43   40 39            16 15           0
//	base 31:24 G DB  L  0 lim19:16 P  DPL   S  type     base 23:0        limit 15:0
func (r SegmentReg) descriptor() uint64 {
	limit := uint64(r.Limit)
	if r.G {
		limit >>= 12
	}
	d := limit&0xffff | limit>>16&0xf<<48 | r.Base&0xffffff<<16 | r.Base>>24&0xff<<56 | uint64(r.Type)<<40 | 1<<47
	for _, f := range []struct {
		on  bool
		bit uint
	}{{r.S, 44}, {r.L, 53}, {r.DB, 54}, {r.G, 55}} {
		if f.on {
			d |= 1 << f.bit
		}
	}
	return d
}
