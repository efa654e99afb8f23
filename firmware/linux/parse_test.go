package linux

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

func TestParseInfo(t *testing.T) {
	for _, tt := range []struct {
		name string
		file []byte
		want Info
	}{
		{"bzImage", bzFile(), Info{FormatBzImage, bzVersion, 0x020f, true, false, 2047}},
		{"bzImage of protocol 2.12", bzFile(set16(offVersion, 0x020c)), Info{FormatBzImage, bzVersion, 0x020c, true, false, 2047}},
		{"bzImage without a version line", bzFile(set16(offKernelVersion, 0)), Info{FormatBzImage, "", 0x020f, true, false, 2047}},
		{"bzImage with a version line outside", bzFile(set16(offKernelVersion, 0xffff)), Info{FormatBzImage, "", 0x020f, true, false, 2047}},
		{"bzImage with a long command line", bzFile(set32(offCmdlineSize, 1<<31)), Info{FormatBzImage, bzVersion, 0x020f, true, false, cmdlineSize - 1}},
		{"bzImage with a signature behind", append(bzFile(), "signature"...), Info{FormatBzImage, bzVersion, 0x020f, true, false, 2047}},
		{"vmlinux", vmlinux(), Info{FormatELF, "", 0, true, false, 2047}},
		{"vmlinux with PVH note", pvhLinux(), Info{FormatELF, "", 0, true, true, 2047}},
		{"PVH kernel of another system", elfFile(0xffffffff80000000, append(vmlinuxSegs()[1:], pvhNote(elfBase+2*mib))), Info{FormatELF, "", 0, false, true, 2047}},
		{"PVH note of 4 bytes", elfFile(0, append(vmlinuxSegs(), elfSeg{kind: ptNote, data: note(notePVHOwner, notePVH, le.AppendUint32(nil, elfBase))})), Info{FormatELF, "", 0, false, true, 2047}},
		{"position-independent", pvhLinux(set16(ehdrType, etDyn)), Info{FormatELF, "", 0, true, true, 2047}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := mustParse(t, tt.file).Info(); got != tt.want {
				t.Errorf("Info %+v, want %+v", got, tt.want)
			}
		})
	}
}

// phdr is the offset of a field of program header i.
func phdr(i, field int) int { return ehdrSize + i*phdrSize + field }

// TestParseRefuses has an entry for each way in which an image can be bad: its error, and the words a person gets.
func TestParseRefuses(t *testing.T) {
	pad := func(s string) []byte { return append([]byte(s), make([]byte, 2048)...) }
	at := func(off int, s string) []byte { return append(make([]byte, off), s+strings.Repeat("\x00", 100)...) }
	for _, tt := range []struct {
		name string
		file []byte
		want error
		text string
	}{
		{"empty", nil, ErrTruncated, "the file is empty"},
		{"zeros", make([]byte, 5000), ErrNotKernel, "nothing but zeros"},
		{"text", []byte("console=ttyS0 größe\n"), ErrNotKernel, "looks like text"},
		{"noise", []byte{0xde, 0xad, 0xbe, 0xef, 0x01}, ErrNotKernel, "unknown data"},
		{"gzip", pad("\x1f\x8b\x08"), ErrNotKernel, "gzip data (unpack it first"},
		{"zstd", pad("\x28\xb5\x2f\xfd"), ErrNotKernel, "zstd data"},
		{"xz", pad("\xfd7zXZ\x00"), ErrNotKernel, "xz data"},
		{"cpio", pad("070701"), ErrNotKernel, "an initrd is not a kernel"},
		{"qcow2", pad("QFI\xfb"), ErrNotKernel, "boot it as a disk"},
		{"disk", at(512, "EFI PART"), ErrNotKernel, "partition table"},
		{"boot sector", at(510, "\x55\xaa"), ErrNotKernel, "a boot sector"},
		{"ext4", at(0x438, "\x53\xef"), ErrNotKernel, "ext4 file system"},
		{"arm64 Image", append(pad("MZ")[:0x38], "ARM\x64"...), ErrNotKernel, "an arm64 Image (this machine is x86-64)"},
		{"PE", pad("MZ"), ErrNotKernel, "a PE program"},
		{"script", pad("#!/bin/sh"), ErrNotKernel, "a script"},

		{"bzImage: protocol 2.11", bzFile(set16(offVersion, 0x020b)), ErrOldProtocol, "2.11, at least 2.12 is needed"},
		{"bzImage: cut in the header", bzFile()[:0x210], ErrTruncated, "128 bytes are missing"},
		{"bzImage: cut by 100 bytes", bzFile()[:bzSetup+payloadSize-100], ErrTruncated, "100 bytes are missing"},
		{"bzImage: zImage", bzFile(set8(offLoadflags, 0)), ErrNot64Bit, "a zImage"},
		{"bzImage: i386", bzFile(set16(offXloadflags, 0)), ErrNot64Bit, "kernel for i386"},
		{"bzImage: short header", bzFile(set8(offJump+1, 0x20)), ErrMalformed, "ends at 0x222"},
		{"bzImage: nothing to load", bzFile(set32(offSyssize, 0)), ErrMalformed, "the part to load has 0 bytes"},
		{"bzImage: no entry point", bzFile(set32(offSyssize, entry64Off/16)), ErrMalformed, "has 512 bytes"},
		{"bzImage: init_size", bzFile(set32(offInitSize, payloadSize-1)), ErrMalformed, "init_size 1023"},
		{"bzImage: alignment 0", bzFile(set32(offAlignment, 0)), ErrMalformed, "kernel_alignment 0x0"},
		{"bzImage: alignment 3", bzFile(set32(offAlignment, 3)), ErrMalformed, "kernel_alignment 0x3"},
		{"bzImage: alignment 2 GiB", bzFile(set32(offAlignment, 1<<31)), ErrMalformed, "kernel_alignment 0x80000000"},
		{"bzImage: pref_address", bzFile(set64(offPrefAddress, 1<<63)), ErrMalformed, "pref_address"},
		{"bzImage: setup larger than the file", bzFile(set8(offSetupSects, 255)), ErrTruncated, "bytes are missing"},

		{"ELF: cut in the header", vmlinux()[:40], ErrTruncated, "24 bytes are missing"},
		{"ELF: cut in the segments", vmlinux()[:500], ErrTruncated, "bytes are missing"},
		{"ELF: 32-bit", vmlinux(set8(4, 1)), ErrNotKernel, "32-bit ELF"},
		{"ELF: big-endian", vmlinux(set8(5, 2)), ErrNotKernel, "big-endian ELF"},
		{"ELF: i386", vmlinux(set16(ehdrMach, 3)), ErrNotKernel, "an ELF file for i386"},
		{"ELF: arm64", vmlinux(set16(ehdrMach, 183)), ErrNotKernel, "an ELF file for arm64"},
		{"ELF: something else", vmlinux(set16(ehdrMach, 9999)), ErrNotKernel, "another machine"},
		{"ELF: module", vmlinux(set16(ehdrType, 1)), ErrNotKernel, "object, module or core"},
		{"ELF: program", elfFile(0x401000, []elfSeg{{kind: ptLoad, vaddr: 0x401000, paddr: 0x401000, data: make([]byte, 100)}}), ErrNotKernel, "an ELF program (no PVH note"},
		{"ELF: entry in bss", vmlinux(set64(ehdrEntry, elfBase+2*mib+100)), ErrNotKernel, "an ELF program"},
		{"ELF: no program headers", vmlinux(set16(ehdrPhnum, 0)), ErrMalformed, "0 program headers"},
		{"ELF: too many program headers", vmlinux(set16(ehdrPhnum, 65)), ErrMalformed, "65 program headers"},
		{"ELF: program header size", vmlinux(set16(ehdrPhsize, 32)), ErrMalformed, "of 32 bytes"},
		{"ELF: program headers beyond the end", vmlinux(set64(ehdrPhoff, 1<<40)), ErrTruncated, "bytes are missing"},
		{"ELF: program headers at 2^64", vmlinux(set64(ehdrPhoff, 1<<64-8)), ErrMalformed, "program headers of"},
		{"ELF: segment beyond the end", vmlinux(set64(phdr(0, phdrOff), 1<<30)), ErrTruncated, "bytes are missing"},
		{"ELF: segment at 2^64", vmlinux(set64(phdr(0, phdrOff), 1<<64-16)), ErrMalformed, "segment of"},
		{"ELF: more file than memory", vmlinux(set64(phdr(0, phdrMemsz), 10)), ErrMalformed, "768 bytes in the file, 10 in memory"},
		{"ELF: segment wraps", vmlinux(set64(phdr(0, phdrPaddr), 1<<64-4096)), ErrMalformed, "segment at"},
		{"ELF: segments overlap", vmlinux(set64(phdr(1, phdrPaddr), elfBase+767)), ErrOverlap, "[0x1000000-0x1000300) and [0x10002ff-"},
		{"ELF: notes too long", pvhLinux(set64(phdr(2, phdrFilesz), maxNotes+1)), ErrMalformed, "notes of 65537 bytes"},
		{"ELF: notes beyond the end", pvhLinux(set64(phdr(2, phdrOff), 1<<20)), ErrTruncated, "bytes are missing"},
		{"ELF: note overruns", elfFile(0, append(vmlinuxSegs(), elfSeg{kind: ptNote, data: note("Xen\x00", 18, nil)[:12]})), ErrMalformed, "runs over the end"},
		{"ELF: note without all of its content", elfFile(0, append(vmlinuxSegs(), elfSeg{kind: ptNote, data: note("Xen\x00", 18, make([]byte, 8))[:18]})), ErrMalformed, "runs over the end"},
		{"ELF: note with a name of 4 GiB", elfFile(0, append(vmlinuxSegs(), elfSeg{kind: ptNote, data: bytes.Repeat([]byte{0xff}, 16)})), ErrMalformed, "runs over the end"},
		{"ELF: PVH entry in bss", elfFile(0, append(vmlinuxSegs(), pvhNote(elfBase+2*mib+100))), ErrMalformed, "PVH entry point 0x1200064"},
		{"ELF: PVH entry outside", elfFile(0, append(vmlinuxSegs(), pvhNote(elfBase-1))), ErrMalformed, "PVH entry point 0xffffff lies in no segment"},
		{"ELF: PVH entry above 4 GiB", elfFile(0, append(vmlinuxSegs(), elfSeg{kind: ptLoad, paddr: fourGiB, data: []byte{1}}, pvhNote(fourGiB))), ErrMalformed, "PVH entry point"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Parse(bytes.NewReader(tt.file))
			if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.text) {
				t.Fatalf("Parse: %v, want %v with %q", err, tt.want, tt.text)
			}
			if !strings.HasPrefix(err.Error(), "linux: kernel: ") {
				t.Errorf("text %q does not say what it is about", err)
			}
		})
	}
}

// TestParseSource tells a file that is shorter than it says from one that cannot be read.
func TestParseSource(t *testing.T) {
	whole := bzFile()
	_, err := Parse(liar{bytes.NewReader(whole[:len(whole)-10]), int64(len(whole))})
	if !errors.Is(err, ErrTruncated) {
		t.Errorf("a source that ends early: %v", err)
	}
	if _, err = Parse(broken{100}); !errors.Is(err, errBroken) {
		t.Errorf("a source that fails: %v", err)
	}
	if _, err = Parse(liar{bytes.NewReader(nil), -1}); !errors.Is(err, ErrTruncated) {
		t.Errorf("a source of negative size: %v", err)
	}
}

func TestTruncatedError(t *testing.T) {
	_, err := Parse(bytes.NewReader(bzFile()[:bzSetup+payloadSize-7]))
	var te *TruncatedError
	if !errors.As(err, &te) || te.Missing() != 7 || te.What != "kernel" {
		t.Errorf("%#v", err)
	}
}
