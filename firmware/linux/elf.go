package linux

import (
	"cmp"
	"slices"
)

// ELF64 layouts [ELF "ELF header", "program header", "note section"]. This is a reader of our own because debug/elf is
// not meant for hostile files; it reads the header, at most maxPhdrs program headers and the notes, and nothing else.
const (
	ehdrSize   = 64
	ehdrType   = 16 // u16
	ehdrMach   = 18 // u16
	ehdrEntry  = 24 // u64
	ehdrPhoff  = 32 // u64
	ehdrPhsize = 54 // u16
	ehdrPhnum  = 56 // u16

	phdrSize   = 56
	phdrType   = 0  // u32
	phdrFlags  = 4  // u32
	phdrOff    = 8  // u64
	phdrVaddr  = 16 // u64
	phdrPaddr  = 24 // u64
	phdrFilesz = 32 // u64
	phdrMemsz  = 40 // u64

	elfMagic   = "\x7fELF"
	elfClass64 = 2
	elfLittle  = 1
	etExec     = 2
	etDyn      = 3
	emX86_64   = 62
	ptLoad     = 1
	ptNote     = 4
	pfX        = 1

	nhdrSize = 12
	// XEN_ELFNOTE_PHYS32_ENTRY: the 32-bit entry point's physical address [PVH].
	notePVH      = 18
	notePVHOwner = "Xen\x00"

	maxPhdrs  = 64            // Linux has 4 or 5, FreeBSD about 10
	maxNotes  = 64 << 10      // bytes of one note segment: Linux has under 1 KiB
	kernelMap = 1<<64 - 2*gib // __START_KERNEL_map: Linux is linked to run in the top 2 GiB
)

// elfKernel is a kernel as its linker left it.
type elfKernel struct {
	segs       []elfSegment // ascending, disjoint
	entry, pvh uint64
}

// elfSegment is a PT_LOAD header.
type elfSegment struct {
	off, vaddr, paddr, filesz, memsz uint64
	exec                             bool
}

func (s elfSegment) region() Region { return Region{s.paddr, s.memsz} }

// isELF64 reports whether head begins an ELF file for x86-64.
func isELF64(head []byte) bool {
	return len(head) >= ehdrSize && string(head[:4]) == elfMagic && head[4] == elfClass64 && head[5] == elfLittle &&
		le.Uint16(head[ehdrMach:]) == emX86_64
}

// parseELF reads the program headers of an ELF kernel.
func (k *Kernel) parseELF(head []byte) error {
	if t := le.Uint16(head[ehdrType:]); t != etExec && t != etDyn {
		return &NotKernelError{Looks: "an ELF object, module or core file"}
	}
	num, entsize, off := uint64(le.Uint16(head[ehdrPhnum:])), le.Uint16(head[ehdrPhsize:]), le.Uint64(head[ehdrPhoff:])
	if num == 0 || num > maxPhdrs || entsize != phdrSize {
		return kernelErr(ErrMalformed, "%d program headers of %d bytes", num, entsize)
	}
	if err := k.within("program headers", off, num*phdrSize); err != nil {
		return err
	}
	table := make([]byte, num*phdrSize)
	if err := readFull(k.src, "kernel", table, off); err != nil {
		return err
	}
	img := &elfKernel{entry: le.Uint64(head[ehdrEntry:])}
	for p := range slices.Chunk(table, phdrSize) {
		var err error
		switch le.Uint32(p[phdrType:]) {
		case ptLoad:
			err = k.addSegment(img, p)
		case ptNote:
			err = k.readNotes(img, le.Uint64(p[phdrOff:]), le.Uint64(p[phdrFilesz:]))
		}
		if err != nil {
			return err
		}
	}
	if err := probeEnd(k.src, "kernel", k.size); err != nil {
		return err
	}
	return k.finishELF(img)
}

// within reports a part of the file that lies beyond its end.
func (k *Kernel) within(what string, off, n uint64) error {
	if n > maxPhys || off > maxPhys {
		return kernelErr(ErrMalformed, "%s of %d bytes at %d", what, n, off)
	}
	if off+n > k.size {
		return &TruncatedError{What: "kernel", Size: k.size, Need: off + n}
	}
	return nil
}

// addSegment checks one PT_LOAD header. What it says about the file is checked here, about memory in place.
func (k *Kernel) addSegment(img *elfKernel, p []byte) error {
	s := elfSegment{
		off: le.Uint64(p[phdrOff:]), vaddr: le.Uint64(p[phdrVaddr:]), paddr: le.Uint64(p[phdrPaddr:]),
		filesz: le.Uint64(p[phdrFilesz:]), memsz: le.Uint64(p[phdrMemsz:]), exec: le.Uint32(p[phdrFlags:])&pfX != 0,
	}
	if s.memsz == 0 && s.filesz == 0 {
		return nil
	}
	if s.filesz > s.memsz || !s.region().valid() {
		return kernelErr(ErrMalformed, "segment at %#x has %d bytes in the file, %d in memory", s.paddr, s.filesz, s.memsz)
	}
	if err := k.within("segment", s.off, s.filesz); err != nil {
		return err
	}
	img.segs = append(img.segs, s)
	return nil
}

// readNotes looks for the PVH entry point among the notes at off.
func (k *Kernel) readNotes(img *elfKernel, off, size uint64) error {
	if size > maxNotes {
		return kernelErr(ErrMalformed, "notes of %d bytes", size)
	}
	if err := k.within("notes", off, size); err != nil {
		return err
	}
	b := make([]byte, size)
	if err := readFull(k.src, "kernel", b, off); err != nil {
		return err
	}
	for len(b) >= nhdrSize {
		namesz, descsz, kind := uint64(le.Uint32(b)), uint64(le.Uint32(b[4:])), le.Uint32(b[8:])
		b = b[nhdrSize:]
		desc := align4(namesz)
		if next := desc + align4(descsz); desc+descsz > uint64(len(b)) {
			return kernelErr(ErrMalformed, "a note runs over the end of the notes")
		} else if kind == notePVH && string(b[:namesz]) == notePVHOwner && descsz >= 4 {
			// 4 or 8 bytes wide [PVH]; the entry point is below 4 GiB in any case.
			img.pvh = uint64(le.Uint32(b[desc:]))
			if descsz >= 8 {
				img.pvh = le.Uint64(b[desc:])
			}
		} else {
			b = b[min(next, uint64(len(b))):]
			continue
		}
		return nil
	}
	return nil
}

func align4(n uint64) uint64 { return (n + 3) &^ 3 }

// finishELF sorts the segments and looks whether there is a way in.
func (k *Kernel) finishELF(img *elfKernel) error {
	slices.SortFunc(img.segs, func(a, b elfSegment) int { return cmp.Compare(a.paddr, b.paddr) })
	for i := 1; i < len(img.segs); i++ {
		if a, b := img.segs[i-1].region(), img.segs[i].region(); a.overlaps(b) {
			return kernelErr(ErrOverlap, "%v and %v", a, b)
		}
	}
	if img.pvh != 0 && (img.pvh >= fourGiB || !img.covers(img.pvh)) {
		return kernelErr(ErrMalformed, "PVH entry point %#x lies in no segment", img.pvh)
	}
	k.img = img
	k.info = Info{
		Format: FormatELF, EntryPVH: img.pvh != 0, Entry64: img.isVmlinux(),
		CmdlineMax: elfCmdlineMax,
	}
	if !k.info.EntryPVH && !k.info.Entry64 {
		return &NotKernelError{Looks: "an ELF program", Hint: "no PVH note, and not linked like a vmlinux"}
	}
	return nil
}

// elfCmdlineMax is x86's COMMAND_LINE_SIZE without the NUL (linux arch/x86/include/asm/setup.h): an ELF kernel does not
// say what it takes, and Linux cuts off the rest without a word.
const elfCmdlineMax = 2047

// covers reports whether addr lies in file contents that are loaded.
func (img *elfKernel) covers(addr uint64) bool {
	return slices.ContainsFunc(img.segs, func(s elfSegment) bool { return addr >= s.paddr && addr-s.paddr < s.filesz })
}

// isVmlinux reports whether the ELF entry point is one for the 64-bit boot protocol: a physical address, in code that
// is linked to the kernel's half of the address space (linux arch/x86/kernel/vmlinux.lds.S, phys_startup_64).
func (img *elfKernel) isVmlinux() bool {
	return slices.ContainsFunc(img.segs, func(s elfSegment) bool {
		return s.exec && s.vaddr >= kernelMap && img.entry >= s.paddr && img.entry-s.paddr < s.filesz
	})
}

// place puts every segment where it was linked to be.
func (img *elfKernel) place(l *layouter, mode Mode) (uint64, error) {
	for _, s := range img.segs {
		if r := s.region(); !l.free.contains(r) {
			return 0, kernelErr(ErrKernelTooBig, "segment %v is not in free RAM, largest free range is %d", r, l.largestFree())
		}
		l.take(s.region())
		l.add(Segment{Name: "kernel", Addr: s.paddr, Source: l.k.src, Off: s.off, Len: s.filesz, Zero: s.memsz - s.filesz})
	}
	first, last := img.segs[0].region(), img.segs[len(img.segs)-1].region()
	l.plan.Kernel = Region{first.Base, last.End() - first.Base}
	if mode == Protected32 {
		return img.pvh, nil
	}
	return img.entry, nil
}

// setupHeader makes what a bzImage would have brought along: the fields that the kernel proper looks at.
func (img *elfKernel) setupHeader() []byte {
	h := make([]byte, hdrMin-hdrStart)
	le.PutUint16(h[offBootFlag-hdrStart:], bootFlag)
	copy(h[offHeader-hdrStart:], headerMagic)
	le.PutUint16(h[offVersion-hdrStart:], minProtocol)
	h[offLoadflags-hdrStart] = loadedHigh
	le.PutUint32(h[offAlignment-hdrStart:], elfAlignment)
	le.PutUint32(h[offCmdlineSize-hdrStart:], elfCmdlineMax)
	return h
}

// elfAlignment is the kernel_alignment of a Linux kernel whose header is lost.
const elfAlignment = 16 << 20

// initrdMax is 4 GiB: the PVH entry of Linux keeps 32 bits of the address (linux arch/x86/platform/pvh/enlighten.c). With
// the 64-bit entry memory above serves too, for Linux maps the initrd when it has read the memory map.
func (img *elfKernel) initrdMax() (uint64, bool) { return fourGiB - 1, true }
