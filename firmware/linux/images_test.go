package linux

import (
	"bytes"
	"errors"
	"io"
	"testing"
)

const mib = 1 << 20

// The synthetic bzImage: a setup part of 2 sectors and the boot sector, then payloadSize bytes that count up.
const (
	bzSetup     = 3 * sectorSize
	payloadSize = 1024
	bzInit      = 4 * mib
	bzPrefer    = 16 * mib
	bzVersion   = "6.1.0-test (someone@somewhere) #1 SMP"
)

// bzFile makes a bzImage of protocol 2.15 as Linux 6.1 has it, changed by edits.
func bzFile(edits ...func(b []byte)) []byte {
	b := make([]byte, bzSetup+payloadSize)
	b[offSetupSects] = bzSetup/sectorSize - 1
	le.PutUint32(b[offSyssize:], payloadSize/16)
	le.PutUint16(b[offBootFlag:], bootFlag)
	b[offJump], b[offJump+1] = 0xeb, 0x6a
	copy(b[offHeader:], headerMagic)
	le.PutUint16(b[offVersion:], 0x020f)
	le.PutUint16(b[offKernelVersion:], 0x100)
	copy(b[0x300:], bzVersion+"\x00")
	b[offLoadflags] = loadedHigh
	le.PutUint32(b[offCode32Start:], 1*mib)
	le.PutUint32(b[offInitrdMax:], 0x7fffffff)
	le.PutUint32(b[offAlignment:], 2*mib)
	b[offRelocatable] = 1
	le.PutUint16(b[offXloadflags:], xlfKernel64|xlfAbove4G)
	le.PutUint32(b[offCmdlineSize:], 2047)
	le.PutUint64(b[offPrefAddress:], bzPrefer)
	le.PutUint32(b[offInitSize:], bzInit)
	for i := range payloadSize {
		b[bzSetup+i] = byte(i)
	}
	for _, edit := range edits {
		edit(b)
	}
	return b
}

// Edits.

func set8(off int, v byte) func([]byte)    { return func(b []byte) { b[off] = v } }
func set16(off int, v uint16) func([]byte) { return func(b []byte) { le.PutUint16(b[off:], v) } }
func set32(off int, v uint32) func([]byte) { return func(b []byte) { le.PutUint32(b[off:], v) } }
func set64(off int, v uint64) func([]byte) { return func(b []byte) { le.PutUint64(b[off:], v) } }

// elfSeg is one program header of a synthetic ELF file, with its content.
type elfSeg struct {
	kind         uint32
	vaddr, paddr uint64
	memsz        uint64 // at least len(data)
	data         []byte
}

// elfFile makes an ELF file with the given headers; contents follow in order.
func elfFile(entry uint64, segs []elfSeg, edits ...func([]byte)) []byte {
	b := make([]byte, ehdrSize+len(segs)*phdrSize)
	copy(b, elfMagic)
	b[4], b[5], b[6] = elfClass64, elfLittle, 1
	le.PutUint16(b[ehdrType:], etExec)
	le.PutUint16(b[ehdrMach:], emX86_64)
	le.PutUint64(b[ehdrEntry:], entry)
	le.PutUint64(b[ehdrPhoff:], ehdrSize)
	le.PutUint16(b[ehdrPhsize:], phdrSize)
	le.PutUint16(b[ehdrPhnum:], uint16(len(segs)))
	for i, s := range segs {
		p := b[ehdrSize+i*phdrSize:]
		le.PutUint32(p[phdrType:], s.kind)
		le.PutUint32(p[phdrFlags:], 4|pfX)
		le.PutUint64(p[phdrOff:], uint64(len(b)))
		le.PutUint64(p[phdrVaddr:], s.vaddr)
		le.PutUint64(p[phdrPaddr:], s.paddr)
		le.PutUint64(p[phdrFilesz:], uint64(len(s.data)))
		le.PutUint64(p[phdrMemsz:], max(s.memsz, uint64(len(s.data))))
		b = append(b, s.data...)
	}
	for _, edit := range edits {
		edit(b)
	}
	return b
}

// note makes an ELF note.
func note(name string, kind uint32, desc []byte) []byte {
	b := le.AppendUint32(nil, uint32(len(name)))
	b = le.AppendUint32(le.AppendUint32(b, uint32(len(desc))), kind)
	b = append(b, name...)
	b = append(b, make([]byte, align4(uint64(len(name)))-uint64(len(name)))...)
	b = append(b, desc...)
	return append(b, make([]byte, align4(uint64(len(desc)))-uint64(len(desc)))...)
}

func pvhNote(entry uint64) elfSeg {
	return elfSeg{kind: ptNote, data: append(note("GNU\x00", 3, []byte("abc")), note(notePVHOwner, notePVH, le.AppendUint64(nil, entry))...)}
}

const elfBase = 16 * mib

// vmlinuxSegs are text, and data with bss.
func vmlinuxSegs() []elfSeg {
	return []elfSeg{
		{kind: ptLoad, vaddr: 0xffffffff81000000, paddr: elfBase, data: bytes.Repeat([]byte{0x90}, 768)},
		{kind: ptLoad, vaddr: 0xffffffff81200000, paddr: elfBase + 2*mib, memsz: 1 * mib, data: bytes.Repeat([]byte{1}, 100)},
	}
}

// vmlinux is an ELF kernel with a 64-bit entry only; pvhLinux has both.
func vmlinux(edits ...func([]byte)) []byte {
	return elfFile(elfBase+0x100, vmlinuxSegs(), edits...)
}

func pvhLinux(edits ...func([]byte)) []byte {
	return elfFile(elfBase+0x100, append(vmlinuxSegs(), pvhNote(elfBase+0x200)), edits...)
}

// mustParse parses an image that must be good.
func mustParse(t testing.TB, b []byte) *Kernel {
	t.Helper()
	k, err := Parse(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// hole is a Source of any size that costs nothing: zeros, and a count of what was read.
type hole struct {
	size int64
	read *int64
}

func (h hole) Size() int64 { return h.size }

func (h hole) ReadAt(p []byte, off int64) (int, error) {
	n := int(max(0, min(int64(len(p)), h.size-off)))
	clear(p[:n])
	*h.read += int64(n)
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func sparse(size int64) hole { return hole{size, new(int64)} }

// liar says it has more bytes than it gives.
type liar struct {
	*bytes.Reader
	size int64
}

func (l liar) Size() int64 { return l.size }

// broken fails to read.
type broken struct{ size int64 }

var errBroken = errors.New("input/output error")

func (b broken) Size() int64                       { return b.size }
func (b broken) ReadAt([]byte, int64) (int, error) { return 0, errBroken }
