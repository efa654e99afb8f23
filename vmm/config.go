package vmm

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
)

// Defaults for zero values of Config.
const (
	DefaultCPUs        = 1
	DefaultMemoryBytes = 512 << 20
)

// Config describes a virtual machine. Its zero value lacks only Boot. New copies what it needs: later changes to a
// Config do not reach the VM, but the back ends in it (readers, writers, disks) belong to the VM until Close returns.
type Config struct {
	// Name shows up in log records and in the guest's SMBIOS type 1 as the product name. "" is "husk".
	Name string
	// CPUs is the number of vCPUs, 1 to 254. 0 means DefaultCPUs.
	CPUs int
	// MemoryBytes is the size of guest RAM, a multiple of 4096. 0 means DefaultMemoryBytes. The host commits pages as
	// the guest touches them.
	MemoryBytes uint64
	// Boot says what the first vCPU runs. It is required.
	Boot Boot
	// Disks become virtio block devices in this order: /dev/vda, /dev/vdb, ...
	Disks []Disk
	// Console is the virtio console, hvc0 in a Linux guest: fast, but it speaks only once drivers run.
	Console Console
	// Serial is a 16550 UART, ttyS0 in a Linux guest: it speaks from the first instruction.
	Serial Console
	// VsockCID is the guest's address on the vsock between guest and host, 3 or more. 0 means 3. Addresses matter to
	// the guest only: each VM has a vsock of its own, reached by VM.Dial and VM.Listen.
	VsockCID uint32
	// SMBIOSStrings are OEM strings (SMBIOS type 11) that guest programs can read: up to 64 of up to 1024 bytes.
	SMBIOSStrings []string
	// Backend names the hypervisor to use, one of [Backends]. "" takes the best that works here.
	Backend string
	// Reboot says what a guest's reboot does.
	Reboot Reboot
	// Log takes life-cycle messages and what is odd. nil discards them.
	Log *slog.Logger
}

// Reboot is a policy for guest resets.
type Reboot uint8

const (
	// RebootEnds makes a reset end the VM, with the exit reason Reset.
	RebootEnds Reboot = iota
	// RebootRestarts makes a reset start the machine again with fresh memory and the same devices.
	RebootRestarts
)

// Boot is a way to start a guest; [Linux] is the one there is.
type Boot interface{ boot() }

// Linux starts a Linux kernel directly, without firmware or boot loader.
type Linux struct {
	// Kernel is a bzImage with the 64-bit entry (all distributions' since 2012), or an ELF vmlinux with or without a PVH note.
	Kernel Source
	// Initrd is optional: a cpio archive, compressed in a way the kernel knows, or several one after another.
	Initrd Source
	// Cmdline is the kernel command line, at most 2047 bytes for kernels that do not say otherwise.
	Cmdline string
	// Entry chooses the entry point. The zero value takes PVH for ELF images that have it, else the 64-bit one.
	Entry Entry
}

func (Linux) boot() {}

// Entry is an entry point of a Linux kernel.
type Entry uint8

const (
	EntryAuto Entry = iota
	Entry64         // the 64-bit boot protocol
	EntryPVH        // the PVH entry of an ELF image
)

// Source is a file's contents: *bytes.Reader, *strings.Reader and *io.SectionReader are Sources. ReadAt must be
// usable by several goroutines at once, as io.ReaderAt demands.
type Source interface {
	io.ReaderAt
	Size() int64
}

// Disk is one virtio block device.
type Disk struct {
	// Backend holds the data.
	Backend DiskBackend
	// ReadOnly offers the disk as read-only; nothing is ever written to the back end.
	ReadOnly bool
	// Serial is what the guest reads as the disk's ID, up to 20 bytes. In Linux: /dev/disk/by-id/virtio-SERIAL.
	Serial string
	// Queues is the number of request queues, each with a thread of its own. 0 means one a vCPU, up to 4.
	Queues int
}

// DiskBackend stores a disk's sectors. Sync must not return before all completed writes are durable. Methods are called
// from several goroutines at once. Where a back end also has
//
//	ReadvAt(bufs [][]byte, off int64) (int, error)
//	WritevAt(bufs [][]byte, off int64) (int, error)
//	Discard(off, n int64) error
//	WriteZeroes(off, n int64, unmap bool) error
//
// they are used; without Discard and WriteZeroes the guest is not offered these requests.
type DiskBackend interface {
	io.ReaderAt
	io.WriterAt
	// Size in bytes. It may grow while the VM runs; see VM.DiskResized.
	Size() int64
	Sync() error
}

// Console is a character device's host side. Either field may be nil: no input, or output thrown away. Out may block;
// guest output then waits, bounded in memory. In is read by a goroutine of the VM; a Read that blocks for ever does not
// keep Close from returning.
type Console struct {
	In  io.Reader
	Out io.Writer
}

// ErrConfig is wrapped by New's errors about the Config itself, as opposed to about the host.
var ErrConfig = errors.New("bad configuration")

// configError marks an error as ErrConfig without changing its text.
type configError struct{ error }

func (e configError) Unwrap() error        { return e.error }
func (e configError) Is(target error) bool { return target == ErrConfig }

// resolved returns cfg with defaults filled in, or what is wrong with it.
func (cfg Config) resolved() (Config, Linux, error) {
	bad := func(format string, args ...any) (Config, Linux, error) {
		return Config{}, Linux{}, configError{fmt.Errorf("vmm: "+format, args...)}
	}
	if cfg.Name == "" {
		cfg.Name = "husk"
	}
	if cfg.CPUs == 0 {
		cfg.CPUs = DefaultCPUs
	}
	if cfg.MemoryBytes == 0 {
		cfg.MemoryBytes = DefaultMemoryBytes
	}
	if cfg.VsockCID == 0 {
		cfg.VsockCID = 3
	}
	if cfg.VsockCID < 3 || cfg.VsockCID == 1<<32-1 {
		return bad("vsock CID %d is reserved: use 3 to 4294967294", cfg.VsockCID)
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	cfg.Log = cfg.Log.With("vm", cfg.Name)
	lin, ok := cfg.Boot.(Linux)
	if !ok {
		return bad("Boot is required")
	}
	if lin.Kernel == nil {
		return bad("Boot has no Kernel")
	}
	cfg.Disks = slices.Clone(cfg.Disks)
	for i, d := range cfg.Disks {
		if d.Backend == nil {
			return bad("disk %d has no Backend", i)
		}
		if len(d.Serial) > 20 {
			return bad("disk %d: serial %q is longer than 20 bytes", i, d.Serial)
		}
		if d.Queues < 0 || d.Queues > 64 {
			return bad("disk %d: %d queues: 1 to 64 are possible", i, d.Queues)
		}
		if d.Queues == 0 {
			cfg.Disks[i].Queues = min(cfg.CPUs, 4)
		}
	}
	return cfg, lin, nil
}
