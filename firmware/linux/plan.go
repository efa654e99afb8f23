package linux

import (
	"fmt"
	"io"
)

// Preference says how a kernel is to be entered.
type Preference uint8

// The preferences.
const (
	EntryAuto Preference = iota // PVH where the image has it (the documented way into an ELF kernel), else 64-bit
	Entry64                     // the 64-bit boot protocol
	EntryPVH                    // the PVH protocol
)

// Params describe the machine and what is to be booted on it. Plan keeps none of the slices.
type Params struct {
	RAM      []Region   // all of guest RAM, at most 24 regions; the first megabyte must be there
	Reserved []MemRange // what the kernel must not use, in RAM or not (ECAM, tables): at most 24, disjoint
	Initrd   Source     // nil for none; any compression, the kernel unpacks it
	Cmdline  string     // without final NUL
	RSDP     uint64     // address of ACPI's root pointer, 0 for none
	Entry    Preference
	// Seed is mixed into the kernel's random pool at its start, at most 64 bytes; nil for none. Only the 64-bit entry can
	// hand it over, and Linux reads it since 6.0.
	Seed []byte
}

// Plan says what to put where in guest RAM, and how to start the first vCPU.
type Plan struct {
	// Segments are disjoint, lie in RAM and outside what is reserved. RAM outside them is the kernel's, in whatever
	// state it is.
	Segments []Segment
	Entry    Entry
	Map      []MemRange // what the kernel is told about memory, ascending
	// Kernel goes from the first to the last byte that the kernel uses before it looks at Map. It is more than the
	// kernel's segments: a bzImage unpacks itself into it.
	Kernel Region
	Initrd Region // Size is 0 when there is none
}

// Segment is a range of guest RAM and what goes there: bytes made by Plan, or a window of a file; then zeros.
type Segment struct {
	Name   string // "kernel", "initrd", "zero page", ... for a person
	Addr   uint64 // guest-physical
	Data   []byte // nil when Source is set
	Source Source
	Off    uint64 // the window's place in Source
	Len    uint64 // and its length in bytes
	Zero   uint64 // bytes that must be zero after Data or the window
}

// Size is the number of bytes in guest RAM.
func (s *Segment) Size() uint64 { return s.fileSize() + s.Zero }

// Region is the guest RAM that the segment fills.
func (s *Segment) Region() Region { return Region{s.Addr, s.Size()} }

func (s *Segment) fileSize() uint64 {
	if s.Source != nil {
		return s.Len
	}
	return uint64(len(s.Data))
}

// ReadAt fills p with the segment's content from off on, zeros included: io.ReaderAt's contract over Size bytes. A
// source that has become shorter since Plan gives a [TruncatedError]. It may be called from several goroutines if the
// source's ReadAt may.
func (s *Segment) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || uint64(off) > s.Size() {
		return 0, fmt.Errorf("linux: read segment %s at %d: out of range", s.Name, off)
	}
	var err error
	if left := s.Size() - uint64(off); uint64(len(p)) > left {
		p, err = p[:left], io.EOF
	}
	n := 0
	if file := s.fileSize(); uint64(off) < file {
		part := p[:min(uint64(len(p)), file-uint64(off))]
		if s.Source == nil {
			copy(part, s.Data[off:])
		} else if rerr := readFull(s.Source, s.Name, part, s.Off+uint64(off)); rerr != nil {
			return 0, rerr
		}
		n = len(part)
	}
	clear(p[n:])
	return len(p), err
}

// Plan lays the kernel out in the machine that p describes. It reads single bytes of the files only.
func (k *Kernel) Plan(p Params) (*Plan, error) {
	mode, err := k.mode(p.Entry)
	if err != nil {
		return nil, err
	}
	l, err := newLayouter(k, &p)
	if err != nil {
		return nil, err
	}
	entry, err := k.img.place(l, mode)
	if err != nil {
		return nil, err
	}
	if err := l.placeInitrd(mode); err != nil {
		return nil, err
	}
	if err := l.placeCmdline(); err != nil {
		return nil, err
	}
	if mode == Protected32 {
		l.preparePVH(entry)
	} else if err := l.prepareLong(entry); err != nil {
		return nil, err
	}
	return &l.plan, nil
}

// mode chooses the way into the kernel.
func (k *Kernel) mode(want Preference) (Mode, error) {
	switch {
	case want > EntryPVH:
		return 0, fmt.Errorf("linux: %w: entry preference %d", ErrBadParams, want)
	case want != Entry64 && k.info.EntryPVH:
		return Protected32, nil
	case want != EntryPVH && k.info.Entry64:
		return Long64, nil
	case want == EntryPVH:
		return 0, kernelErr(ErrNoEntry, "this %v has no PVH note", k.info.Format)
	default:
		return 0, kernelErr(ErrNoEntry, "this %v has a PVH entry only", k.info.Format)
	}
}
