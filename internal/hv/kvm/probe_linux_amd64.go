package kvm

import (
	"encoding/binary"

	"github.com/husk-vm/husk/internal/guestmem"
	"github.com/husk-vm/husk/internal/hv"
)

// mode is the privilege level that the probe's loop runs at.
type mode uint8

const (
	kernelMode mode = 0
	userMode   mode = 3
)

func (m mode) String() string {
	if m == kernelMode {
		return "kernel mode"
	}
	return "user mode"
}

// The probe's address space: page tables and one loop, identity-mapped.
const (
	probeRAM  = 0x10000
	probePML4 = 0x1000
	probePDPT = 0x2000
	probePD   = 0x3000
	probeCode = 0x8000

	probePort = 0x80
	loopInsns = 2 // dec, jnz
)

// probeLoop counts RCX down, then says so.
var probeLoop = []byte{
	0x48, 0xff, 0xc9, // again: dec rcx
	0x75, 0xfb, //              jnz again
	0xe6, probePort, //         out probePort, al
	0xf4, //                    hlt
}

// writeProbe puts page tables and loop into ram. One 2 MiB page covers it: present, writable, user, accessed, dirty.
func writeProbe(ram guestmem.Range) error {
	const table, page = 0x27, 0xe7 // [SDM vol. 3A §4.5.4]: P, R/W, U/S, A; and D, PS
	for at, entry := range map[uint64]uint64{
		probePML4: probePDPT | table,
		probePDPT: probePD | table,
		probePD:   0 | page,
	} {
		if err := ram.Write(at, binary.LittleEndian.AppendUint64(nil, entry)); err != nil {
			return err
		}
	}
	return ram.Write(probeCode, probeLoop)
}

// probeRegs are 64-bit mode at the loop's start.
func probeRegs(m mode, turns uint64) hv.X86Regs {
	const (
		cr0 = 1<<31 | 1<<16 | 1<<5 | 1<<4 | 1<<0 // PG WP NE ET PE [SDM vol. 3A §2.5]
		cr4 = 1 << 5                             // PAE
		lma = 1<<10 | 1<<8                       // LMA LME [SDM vol. 3A §2.2.1]
	)
	code := hv.X86Segment{Selector: 0x08 | uint16(m), Limit: 0xffff_ffff, Type: 0xb, DPL: uint8(m), Present: true, S: true, L: true, G: true}
	data := hv.X86Segment{Selector: 0x10 | uint16(m), Limit: 0xffff_ffff, Type: 0x3, DPL: uint8(m), Present: true, S: true, DB: true, G: true}
	return hv.X86Regs{
		RIP: probeCode, RCX: turns, RSP: probeRAM,
		RFLAGS: 1<<1 | uint64(m)<<12, // IOPL: user mode may say that it is done
		CS:     code, DS: data, ES: data, FS: data, GS: data, SS: data,
		TR:  hv.X86Segment{Limit: 0x67, Type: 0xb, Present: true},
		LDT: hv.X86Segment{Type: 0x2, Unusable: true},
		CR0: cr0, CR3: probePML4, CR4: cr4, EFER: lma,
		APICBase: 0xfee0_0000 | 1<<11 | 1<<8, // enabled, boot processor [SDM vol. 3A §11.4.4]
	}
}
