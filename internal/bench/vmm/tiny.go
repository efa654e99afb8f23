//go:build linux

package main

import "encoding/binary"

// tinyKernel is an ELF kernel with a PVH entry point whose second instruction ends the machine: it loads an interrupt
// table of length zero and executes an undefined instruction, so that the CPU finds no handler, no double fault handler,
// and shuts down [SDM vol. 3 §6.15]. A VMM that does not reboot is over then, and its CPU time is what it took to get a
// guest to its first instruction, and to clean up.
func tinyKernel() []byte {
	const (
		base   = 0x10_0000 // where the file is loaded, whole
		header = 64
		phdr   = 56
		note   = header + 2*phdr
		entry  = note + 20
	)
	le := binary.LittleEndian
	b := append([]byte("\x7fELF\x02\x01\x01"), make([]byte, 9)...) // 64 bits, little endian, version 1
	b = le.AppendUint16(b, 2)                                      // ET_EXEC
	b = le.AppendUint16(b, 62)                                     // EM_X86_64
	b = le.AppendUint32(b, 1)
	b = le.AppendUint64(b, base+entry)
	b = le.AppendUint64(b, header) // program headers
	b = le.AppendUint64(b, 0)      // no section headers
	b = le.AppendUint32(b, 0)
	for _, v := range []uint16{header, phdr, 2, 64, 0, 0} {
		b = le.AppendUint16(b, v)
	}
	code := []byte{
		0x0f, 0x01, 0x1d, 0, 0, 0, 0, // lidt [zeros]
		0x0f, 0x0b, // ud2
		0, 0, 0, 0, 0, 0, // zeros: limit 0, base 0
	}
	le.PutUint32(code[3:], base+entry+9)
	const size = entry + 15
	program := func(kind, flags uint32, offset, length uint64) {
		b = le.AppendUint32(b, kind)
		b = le.AppendUint32(b, flags)
		for _, v := range []uint64{offset, base + offset, base + offset, length, length, 4} {
			b = le.AppendUint64(b, v)
		}
	}
	program(1, 7, 0, size)  // PT_LOAD
	program(4, 4, note, 20) // PT_NOTE
	for _, v := range []uint32{4, 4, 18} {
		b = le.AppendUint32(b, v) // lengths of name and value; XEN_ELFNOTE_PHYS32_ENTRY [PVH]
	}
	b = append(b, "Xen\x00"...)
	b = le.AppendUint32(b, base+entry)
	return append(b, code...)
}
