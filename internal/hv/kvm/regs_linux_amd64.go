package kvm

import (
	"fmt"

	"github.com/husk-vm/husk/internal/hv"
)

// Regs reads the registers. After an exit call Settle first.
func (v *VCPU) Regs(out *hv.X86Regs) error {
	var r regs
	var s sregs
	if _, err := ioctlWith(v.fd, getRegs, &r); err != nil {
		return fmt.Errorf("kvm: registers of vcpu %d: %w", v.id, err)
	}
	if _, err := ioctlWith(v.fd, getSRegs, &s); err != nil {
		return fmt.Errorf("kvm: system registers of vcpu %d: %w", v.id, err)
	}
	*out = hv.X86Regs{
		RAX: r.rax, RBX: r.rbx, RCX: r.rcx, RDX: r.rdx, RSI: r.rsi, RDI: r.rdi, RSP: r.rsp, RBP: r.rbp,
		R8: r.r8, R9: r.r9, R10: r.r10, R11: r.r11, R12: r.r12, R13: r.r13, R14: r.r14, R15: r.r15,
		RIP: r.rip, RFLAGS: r.rflags,
		CS: s.cs.decode(), DS: s.ds.decode(), ES: s.es.decode(), FS: s.fs.decode(), GS: s.gs.decode(),
		SS: s.ss.decode(), TR: s.tr.decode(), LDT: s.ldt.decode(),
		GDT: hv.X86Table{Base: s.gdt.base, Limit: s.gdt.limit},
		IDT: hv.X86Table{Base: s.idt.base, Limit: s.idt.limit},
		CR0: s.cr0, CR2: s.cr2, CR3: s.cr3, CR4: s.cr4, CR8: s.cr8,
		EFER: s.efer, APICBase: s.apicBase,
	}
	return nil
}

// SetRegs writes the registers. A pending interrupt that the kernel has taken from its controller already stays pending.
func (v *VCPU) SetRegs(in *hv.X86Regs) error {
	var s sregs
	if _, err := ioctlWith(v.fd, getSRegs, &s); err != nil { // for interruptBitmap
		return fmt.Errorf("kvm: system registers of vcpu %d: %w", v.id, err)
	}
	s.cs, s.ds, s.es, s.fs = encode(in.CS), encode(in.DS), encode(in.ES), encode(in.FS)
	s.gs, s.ss, s.tr, s.ldt = encode(in.GS), encode(in.SS), encode(in.TR), encode(in.LDT)
	s.gdt = table{base: in.GDT.Base, limit: in.GDT.Limit}
	s.idt = table{base: in.IDT.Base, limit: in.IDT.Limit}
	s.cr0, s.cr2, s.cr3, s.cr4, s.cr8 = in.CR0, in.CR2, in.CR3, in.CR4, in.CR8
	s.efer, s.apicBase = in.EFER, in.APICBase
	if _, err := ioctlWith(v.fd, setSRegs, &s); err != nil {
		return fmt.Errorf("kvm: set system registers of vcpu %d: %w", v.id, err)
	}
	r := regs{
		rax: in.RAX, rbx: in.RBX, rcx: in.RCX, rdx: in.RDX, rsi: in.RSI, rdi: in.RDI, rsp: in.RSP, rbp: in.RBP,
		r8: in.R8, r9: in.R9, r10: in.R10, r11: in.R11, r12: in.R12, r13: in.R13, r14: in.R14, r15: in.R15,
		rip: in.RIP, rflags: in.RFLAGS,
	}
	if _, err := ioctlWith(v.fd, setRegs, &r); err != nil {
		return fmt.Errorf("kvm: set registers of vcpu %d: %w", v.id, err)
	}
	return nil
}

func (s *segment) decode() hv.X86Segment {
	return hv.X86Segment{
		Base: s.base, Limit: s.limit, Selector: s.selector, Type: s.typ, DPL: s.dpl,
		Present: s.present != 0, DB: s.db != 0, S: s.s != 0, L: s.l != 0, G: s.g != 0, AVL: s.avl != 0,
		Unusable: s.unusable != 0,
	}
}

func encode(s hv.X86Segment) segment {
	return segment{
		base: s.Base, limit: s.Limit, selector: s.Selector, typ: s.Type, dpl: s.DPL,
		present: bit(s.Present), db: bit(s.DB), s: bit(s.S), l: bit(s.L), g: bit(s.G), avl: bit(s.AVL),
		unusable: bit(s.Unusable),
	}
}

func bit(b bool) uint8 {
	if b {
		return 1
	}
	return 0
}
