package linux

import "encoding/binary"

var le = binary.LittleEndian

// Format is the container a kernel comes in.
type Format uint8

// The formats that Parse recognises.
const (
	FormatBzImage Format = iota + 1 // a setup header and a self-extracting payload [LINUX-BOOT]
	FormatELF                       // an uncompressed vmlinux, or another ELF kernel with a PVH note [ELF]
)

func (f Format) String() string {
	switch f {
	case FormatBzImage:
		return "bzImage"
	case FormatELF:
		return "ELF"
	}
	return "unknown format"
}

// Info is what an image says about itself.
type Info struct {
	Format   Format
	Version  string // the kernel's version line, printable, at most 128 bytes; "" if the image has none
	Protocol uint16 // boot protocol of a bzImage, 0x020c for 2.12; 0 for ELF
	Entry64  bool   // has a 64-bit entry point
	EntryPVH bool   // has a PVH entry point
	// CmdlineMax is the longest command line in bytes, without its final NUL.
	CmdlineMax int
}

// Kernel is a recognised and checked kernel image. It holds the Source, not the image, and does not change: any number
// of goroutines may Plan with one Kernel if their Source allows it.
type Kernel struct {
	src  Source
	size uint64
	info Info
	img  image
}

// Info returns what the image says about itself.
func (k *Kernel) Info() Info { return k.info }

// image is one format's share of the work. Another architecture's format is another implementation.
type image interface {
	// place takes the kernel's memory, adds its segments and returns the address to enter it at.
	place(l *layouter, mode Mode) (entry uint64, err error)
	// setupHeader returns the zero page's setup header, from offset 0x1f1 on, for the 64-bit entry.
	setupHeader() []byte
	// initrdMax is the highest address that the initrd's last byte may have, and whether memory above 4 GiB may hold
	// it if that does not do.
	initrdMax() (uint64, bool)
}

// headBytes is how much of a file is read to recognise it: a page holds all headers of both formats but the ELF
// program header table, and the magic of most other things people pass by mistake.
const headBytes = 4096

// Parse recognises src and checks that it is whole and consistent. It reads headers only. The Kernel keeps src, which
// must stay open and unchanged as long as plans made with it are carried out.
func Parse(src Source) (*Kernel, error) {
	size, err := sizeOf(src, "kernel")
	if err != nil {
		return nil, err
	}
	head := make([]byte, min(size, headBytes))
	if err := readFull(src, "kernel", head, 0); err != nil {
		return nil, err
	}
	k := &Kernel{src: src, size: size}
	switch {
	case isBzImage(head):
		err = k.parseBzImage(head)
	case isELF64(head):
		err = k.parseELF(head)
	default:
		err = identify(head)
	}
	if err != nil {
		return nil, err
	}
	return k, nil
}
