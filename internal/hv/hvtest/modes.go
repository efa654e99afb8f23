package hvtest

import "github.com/husk-vm/husk/internal/hv"

const (
	cr0PE, cr0ET, cr0NE, cr0WP, cr0PG = 1 << 0, 1 << 4, 1 << 5, 1 << 16, 1 << 31 // [SDM vol. 3A §2.5]
	cr4PAE                            = 1 << 5
	eferLME, eferLMA                  = 1 << 8, 1 << 10 // [SDM vol. 3A §2.2.1]
	flagOne, flagIOPL3                = 1 << 1, 3 << 12 // [SDM vol. 1 §3.4.3]
)

// enter sets a vCPU to begin at an address. What a mode does not say stays as the reset left it.
func (g *guest) enter(v hv.X86VCPU, mode func(*hv.X86Regs), rip uint64) {
	g.t.Helper()
	if err := setMode(v, mode, rip); err != nil {
		g.t.Fatal(err)
	}
}

func setMode(v hv.X86VCPU, mode func(*hv.X86Regs), rip uint64) error {
	var r hv.X86Regs
	if err := v.Regs(&r); err != nil {
		return err
	}
	mode(&r)
	r.RIP, r.RSP = rip, stackTop
	if r.RFLAGS&flagOne == 0 {
		r.RFLAGS = flagOne
	}
	return v.SetRegs(&r)
}

// realMode has all segments at 0 [SDM vol. 3A §21.1].
func realMode(r *hv.X86Regs) {
	data := hv.X86Segment{Limit: 0xffff, Type: 0x3, Present: true, S: true}
	code := data
	code.Type = 0xb
	setSegments(r, code, data)
	r.CR0 = cr0ET
	r.CR4, r.EFER = 0, 0
	r.RFLAGS = flagOne
}

// protectedMode is flat 32-bit code without paging.
func protectedMode(r *hv.X86Regs) {
	data := hv.X86Segment{Selector: dataSelector, Limit: 0xffff_ffff, Type: 0x3, Present: true, S: true, DB: true, G: true}
	code := data
	code.Selector, code.Type = codeSelector, 0xb
	setSegments(r, code, data)
	r.CR0 = cr0PE | cr0ET | cr0NE
	r.CR4, r.EFER = 0, 0
	r.RFLAGS = flagOne
}

// longMode is 64-bit code at level 0 with the tables of newGuest.
func longMode(r *hv.X86Regs) { setLongMode(r, 0) }

// longUserMode is 64-bit code at level 3 that may use ports.
func longUserMode(r *hv.X86Regs) {
	setLongMode(r, 3)
	r.RFLAGS |= flagIOPL3
}

func setLongMode(r *hv.X86Regs, level uint8) {
	data := hv.X86Segment{Selector: dataSelector | uint16(level), Limit: 0xffff_ffff, Type: 0x3, DPL: level, Present: true, S: true, DB: true, G: true}
	code := data
	code.Selector, code.Type, code.L, code.DB = codeSelector|uint16(level), 0xb, true, false
	setSegments(r, code, data)
	r.GDT = hv.X86Table{Base: gdt, Limit: 0x17}
	r.IDT = hv.X86Table{Base: idt, Limit: 16*(lastVector+1) - 1}
	r.CR0 = cr0PE | cr0ET | cr0NE | cr0WP | cr0PG
	r.CR3, r.CR4 = pml4, cr4PAE
	r.EFER = eferLME | eferLMA
	r.RFLAGS = flagOne
}

func setSegments(r *hv.X86Regs, code, data hv.X86Segment) {
	r.CS = code
	r.DS, r.ES, r.FS, r.GS, r.SS = data, data, data, data, data
	r.TR = hv.X86Segment{Limit: 0x67, Type: 0xb, Present: true}
	r.LDT = hv.X86Segment{Type: 0x2, Limit: 0xffff, Present: true}
}
