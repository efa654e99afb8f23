package linux

import (
	"bytes"
	"math/bits"
	"strings"
)

// Offsets of the setup header's fields, in the image and in the zero page alike [LINUX-BOOT "the real-mode kernel header"].
const (
	hdrStart         = 0x1f1
	offSetupSects    = 0x1f1 // u8
	offSyssize       = 0x1f4 // u32, in 16-byte paragraphs
	offBootFlag      = 0x1fe // u16, bootFlag
	offJump          = 0x200 // u16: a short jump, whose distance is the header's length
	offHeader        = 0x202 // "HdrS"
	offVersion       = 0x206 // u16
	offKernelVersion = 0x20e // u16, points to the version line, minus 0x200
	offTypeOfLoader  = 0x210 // u8
	offLoadflags     = 0x211 // u8
	offCode32Start   = 0x214 // u32
	offRamdiskImage  = 0x218 // u32
	offRamdiskSize   = 0x21c // u32
	offCmdLinePtr    = 0x228 // u32
	offInitrdMax     = 0x22c // u32
	offAlignment     = 0x230 // u32
	offRelocatable   = 0x234 // u8
	offXloadflags    = 0x236 // u16
	offCmdlineSize   = 0x238 // u32
	offSetupData     = 0x250 // u64
	offPrefAddress   = 0x258 // u64
	offInitSize      = 0x260 // u32
	hdrMin           = 0x264 // a header of protocol 2.12 reaches at least here
	hdrMax           = 0x290 // where the zero page's next field begins
)

const (
	bootFlag     = 0xaa55
	headerMagic  = "HdrS"
	minProtocol  = 0x020c // the first with xloadflags
	sectorSize   = 512
	loadedHigh   = 1 << 0 // LOADED_HIGH in loadflags: a bzImage, not a zImage
	xlfKernel64  = 1 << 0 // XLF_KERNEL_64: entry point at 0x200 of the protected-mode part
	xlfAbove4G   = 1 << 1 // XLF_CAN_BE_LOADED_ABOVE_4G: also the initrd and the command line
	entry64Off   = 0x200
	versionBytes = 128
	maxAlignment = 1 << 30 // kernel_alignment of real kernels is 2 MiB or 16 MiB
)

// bzImage is a kernel behind a setup header.
type bzImage struct {
	header    []byte // from hdrStart on
	off, size uint64 // the protected-mode part in the file
	initSize  uint64 // memory needed from the load address on
	prefer    uint64 // preferred load address
	align     uint64
	fixed     bool // cannot be loaded elsewhere
	above4G   bool
	ramdisk   uint64 // initrd_addr_max
}

// isBzImage reports whether head begins with the boot sector of a Linux kernel with a setup header.
func isBzImage(head []byte) bool {
	return len(head) >= offVersion+2 && le.Uint16(head[offBootFlag:]) == bootFlag &&
		string(head[offHeader:offHeader+4]) == headerMagic
}

// parseBzImage reads the setup header in head, the file's first page.
func (k *Kernel) parseBzImage(head []byte) error {
	if v := le.Uint16(head[offVersion:]); v < minProtocol {
		return kernelErr(ErrOldProtocol, "%d.%02d, at least 2.12 is needed (Linux 3.8)", v>>8, v&0xff)
	}
	if len(head) < hdrMax {
		return &TruncatedError{What: "kernel", Size: k.size, Need: hdrMax}
	}
	end := offHeader + int(head[offJump+1])
	switch {
	case end < hdrMin:
		return kernelErr(ErrMalformed, "setup header ends at %#x", end)
	case head[offLoadflags]&loadedHigh == 0:
		return kernelErr(ErrNot64Bit, "a zImage, loaded below 1 MiB")
	case le.Uint16(head[offXloadflags:])&xlfKernel64 == 0:
		return kernelErr(ErrNot64Bit, "no 64-bit entry point (XLF_KERNEL_64), a kernel for i386")
	}
	sects := uint64(head[offSetupSects])
	if sects == 0 {
		sects = 4 // [LINUX-BOOT]: for very old kernels
	}
	bz := &bzImage{
		header:   bytes.Clone(head[hdrStart:min(end, hdrMax)]),
		off:      (sects + 1) * sectorSize,
		size:     uint64(le.Uint32(head[offSyssize:])) * 16,
		initSize: uint64(le.Uint32(head[offInitSize:])),
		prefer:   le.Uint64(head[offPrefAddress:]),
		align:    uint64(le.Uint32(head[offAlignment:])),
		fixed:    head[offRelocatable] == 0,
		above4G:  le.Uint16(head[offXloadflags:])&xlfAbove4G != 0,
		ramdisk:  uint64(le.Uint32(head[offInitrdMax:])),
	}
	if err := bz.check(); err != nil {
		return err
	}
	if need := bz.off + bz.size; k.size < need {
		return &TruncatedError{What: "kernel", Size: k.size, Need: need}
	}
	if err := probeEnd(k.src, "kernel", k.size); err != nil {
		return err
	}
	k.img = bz
	k.info = Info{
		Format: FormatBzImage, Protocol: le.Uint16(head[offVersion:]), Entry64: true,
		CmdlineMax: int(min(le.Uint32(head[offCmdlineSize:]), cmdlineSize-1)),
		Version:    k.version(uint64(le.Uint16(head[offKernelVersion:])), bz.off),
	}
	return nil
}

// check looks for contradictions within the header.
func (bz *bzImage) check() error {
	switch {
	case bz.size <= entry64Off:
		return kernelErr(ErrMalformed, "the part to load has %d bytes", bz.size)
	case bz.initSize < bz.size:
		return kernelErr(ErrMalformed, "init_size %d is below the %d bytes to load", bz.initSize, bz.size)
	case !bz.fixed && (bits.OnesCount64(bz.align) != 1 || bz.align > maxAlignment):
		return kernelErr(ErrMalformed, "kernel_alignment %#x", bz.align)
	case bz.prefer > maxPhys:
		return kernelErr(ErrMalformed, "pref_address %#x", bz.prefer)
	}
	return nil
}

// version returns the version line at ptr+0x200, or "" when it does not lie in the setup part, below end.
func (k *Kernel) version(ptr, end uint64) string {
	start := ptr + 0x200
	if ptr == 0 || start >= end {
		return ""
	}
	line := make([]byte, min(versionBytes, end-start))
	if readFull(k.src, "kernel", line, start) != nil {
		return ""
	}
	line, _, _ = bytes.Cut(line, []byte{0})
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return -1
		}
		return r
	}, string(line))
}

// place puts the kernel at its preferred address, or at the lowest possible one above: a kernel loaded below it would
// move itself there (linux arch/x86/boot/compressed/head_64.S).
func (bz *bzImage) place(l *layouter, _ Mode) (uint64, error) {
	end, align := uint64(fourGiB), bz.align
	if bz.above4G {
		end = maxIdentity
	}
	from := max(bz.prefer, highBase)
	if bz.fixed {
		from, align, end = bz.prefer, 1, min(end, bz.prefer+bz.initSize)
	}
	base, ok := l.free.lowest(bz.initSize, align, from, end)
	if !ok {
		return 0, kernelErr(ErrKernelTooBig, "it needs %d bytes from %#x on, largest free range is %d", bz.initSize, from, l.largestFree())
	}
	l.plan.Kernel = Region{base, bz.initSize}
	l.take(l.plan.Kernel)
	l.add(Segment{Name: "kernel", Addr: base, Source: l.k.src, Off: bz.off, Len: bz.size})
	return base + entry64Off, nil
}

func (bz *bzImage) setupHeader() []byte { return bz.header }

func (bz *bzImage) initrdMax() (uint64, bool) { return bz.ramdisk, bz.above4G }
