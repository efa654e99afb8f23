package machine

import (
	"fmt"

	"github.com/husk-vm/husk/firmware/linux"
	"github.com/husk-vm/husk/internal/guestmem"
	"github.com/husk-vm/husk/internal/hv"
)

// Model-specific registers set at start [SDM vol. 4].
const (
	msrTSC          = 0x10
	msrSysenterCS   = 0x174
	msrSysenterESP  = 0x175
	msrSysenterEIP  = 0x176
	msrMiscEnable   = 0x1A0
	msrMTRRDefType  = 0x2FF
	msrSTAR         = 0xC000_0081
	msrLSTAR        = 0xC000_0082
	msrCSTAR        = 0xC000_0083
	msrSyscallMask  = 0xC000_0084
	msrKernelGSBase = 0xC000_0102

	miscFastStrings = 1 << 0
	mtrrEnabled     = 1 << 11
	mtrrWriteBack   = 6
)

// bootMSRs is the state of a vCPU's MSRs before the first instruction. Memory is write-back throughout: without an
// enabled MTRR default type Linux would treat RAM as uncacheable.
func bootMSRs() []hv.MSREntry {
	return []hv.MSREntry{
		{Index: msrSysenterCS},
		{Index: msrSysenterESP},
		{Index: msrSysenterEIP},
		{Index: msrSTAR},
		{Index: msrCSTAR},
		{Index: msrLSTAR},
		{Index: msrKernelGSBase},
		{Index: msrSyscallMask},
		{Index: msrTSC},
		{Index: msrMiscEnable, Value: miscFastStrings},
		{Index: msrMTRRDefType, Value: mtrrEnabled | mtrrWriteBack},
	}
}

// load copies a boot plan's segments into guest RAM, files straight from their source. RAM is fresh and therefore zero:
// the zeros behind a segment's bytes are there already, untouched.
func load(mem *guestmem.Memory, plan *linux.Plan) error {
	for i := range plan.Segments {
		s := &plan.Segments[i]
		r, err := mem.Range(guestmem.GPA(s.Addr), s.Size()-s.Zero)
		if err == nil {
			err = r.With(guestmem.ReadWrite, func(p []byte) error {
				if len(p) == 0 {
					return nil
				}
				n, err := s.ReadAt(p, 0)
				if n == len(p) {
					err = nil // io.EOF may come with the last byte
				}
				return err
			})
		}
		if err != nil {
			return fmt.Errorf("machine: load %s: %w", s.Name, err)
		}
	}
	return nil
}

// place copies firmware tables into guest RAM.
func place(mem *guestmem.Memory, what string, addr uint64, data []byte) error {
	r, err := mem.Range(guestmem.GPA(addr), uint64(len(data)))
	if err == nil {
		err = r.Write(0, data)
	}
	if err != nil {
		return fmt.Errorf("machine: place %s: %w", what, err)
	}
	return nil
}

// setBootRegs puts the first vCPU into the state that the boot protocol asks for. Registers that the protocol leaves
// open keep their power-on values.
func setBootRegs(cpu hv.X86VCPU, e linux.Entry) error {
	var r hv.X86Regs
	if err := cpu.Regs(&r); err != nil {
		return err
	}
	r.RIP, r.RSP, r.RSI, r.RBX, r.RFLAGS = e.RIP, e.RSP, e.RSI, e.RBX, e.RFLAGS
	r.RAX, r.RCX, r.RDX, r.RDI, r.RBP = 0, 0, 0, 0, 0
	r.CR0, r.CR3, r.CR4, r.EFER = e.CR0, e.CR3, e.CR4, e.EFER
	r.GDT = hv.X86Table{Base: e.GDTBase, Limit: e.GDTLimit}
	r.IDT = hv.X86Table{}
	r.CS, r.TR = segment(e.CS), segment(e.TR)
	data := segment(e.DS)
	r.DS, r.ES, r.FS, r.GS, r.SS = data, data, data, data, data
	return cpu.SetRegs(&r)
}

func segment(s linux.SegmentReg) hv.X86Segment {
	return hv.X86Segment{
		Base: s.Base, Limit: s.Limit, Selector: s.Selector, Type: s.Type,
		Present: true, DB: s.DB, S: s.S, L: s.L, G: s.G,
	}
}
