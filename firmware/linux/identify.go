package linux

import (
	"bytes"
	"strings"
)

// magic is how a file type gives itself away.
type magic struct {
	off         int
	bytes       string
	looks, hint string
}

const (
	hintUnpack  = "unpack it first"
	hintMachine = "this machine is x86-64"
)

// magics are tried in order: what is more telling comes first.
var magics = []magic{
	{0x38, "ARM\x64", "an arm64 Image", hintMachine},
	{0x38, "RSC\x05", "a RISC-V Image", hintMachine},
	{0, "\x1f\x8b", "gzip data", "unpack it first; an arm64 kernel often comes like this, and an initrd"},
	{0, "\x28\xb5\x2f\xfd", "zstd data", hintUnpack},
	{0, "\xfd7zXZ\x00", "xz data", hintUnpack},
	{0, "BZh", "bzip2 data", hintUnpack},
	{0, "\x5d\x00\x00", "lzma data", hintUnpack},
	{0, "\x02\x21\x4c\x18", "lz4 data", hintUnpack},
	{0, "\x04\x22\x4d\x18", "lz4 data", hintUnpack},
	{0, "\x89LZO", "lzo data", hintUnpack},
	{0, "0707", "a cpio archive", "an initrd is not a kernel"},
	{0, "PK\x03\x04", "a zip archive", hintUnpack},
	{257, "ustar", "a tar archive", hintUnpack},
	{0, "\x27\x05\x19\x56", "a U-Boot uImage", ""},
	{0, "\xd0\x0d\xfe\xed", "a device tree or FIT image", ""},
	{0, "QFI\xfb", "a qcow2 disk image", "boot it as a disk"},
	{0, "KDMV", "a VMDK disk image", "boot it as a disk"},
	{512, "EFI PART", "a disk with a partition table", "boot it as a disk"},
	{0, "hsqs", "a squashfs file system", ""},
	{0x438, "\x53\xef", "an ext2, ext3 or ext4 file system", ""},
	{0, "MZ", "a PE program without a Linux setup header", "UEFI programs are not kernels"},
	{0, "#!", "a script", ""},
	{0x1fe, "\x55\xaa", "a boot sector", "boot it as a disk"},
}

// identify says what a file that is no kernel is. head is its first page, or less.
func identify(head []byte) error {
	if bytes.HasPrefix(head, []byte(elfMagic)) {
		return identifyELF(head)
	}
	for _, m := range magics {
		if len(head) >= m.off && bytes.HasPrefix(head[m.off:], []byte(m.bytes)) {
			return &NotKernelError{Looks: m.looks, Hint: m.hint}
		}
	}
	switch {
	case len(bytes.Trim(head, "\x00")) == 0:
		return &NotKernelError{Looks: "nothing but zeros"}
	case isText(head):
		return &NotKernelError{Looks: "text"}
	}
	return &NotKernelError{Looks: "unknown data"}
}

// identifyELF says what keeps an ELF file from being a kernel for us.
func identifyELF(head []byte) error {
	if len(head) < ehdrSize {
		return &TruncatedError{What: "kernel", Size: uint64(len(head)), Need: ehdrSize}
	}
	machines := map[uint16]string{3: "i386", 8: "MIPS", 20: "PowerPC", 21: "PowerPC 64", 22: "S/390", 40: "Arm", 183: "arm64", 243: "RISC-V", 258: "LoongArch"}
	switch name, ok := machines[le.Uint16(head[ehdrMach:])]; {
	case head[5] != elfLittle:
		return &NotKernelError{Looks: "a big-endian ELF file"}
	case ok:
		return &NotKernelError{Looks: "an ELF file for " + name, Hint: hintMachine}
	case head[4] != elfClass64:
		return &NotKernelError{Looks: "a 32-bit ELF file", Hint: hintMachine}
	}
	return &NotKernelError{Looks: "an ELF file for another machine", Hint: hintMachine}
}

// isText reports whether b is printable ASCII or UTF-8 text.
func isText(b []byte) bool {
	return !strings.ContainsFunc(strings.ToValidUTF8(string(b), ""), func(r rune) bool {
		return r < ' ' && r != '\n' && r != '\r' && r != '\t' || r == 0x7f
	}) && len(strings.ToValidUTF8(string(b), ""))+4 > len(b)
}
