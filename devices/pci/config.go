package pci

// Offsets in the header of a function [PCI §6.1]. Names follow linux include/uapi/linux/pci_regs.h.
const (
	offVendor    = 0x00 // PCI_VENDOR_ID
	offDevice    = 0x02 // PCI_DEVICE_ID
	offCommand   = 0x04 // PCI_COMMAND
	offStatus    = 0x06 // PCI_STATUS
	offRevision  = 0x08 // PCI_REVISION_ID
	offClass     = 0x09 // PCI_CLASS_PROG, then sub-class and class
	offCacheLine = 0x0c // PCI_CACHE_LINE_SIZE
	offBAR0      = 0x10 // PCI_BASE_ADDRESS_0
	offSubVendor = 0x2c // PCI_SUBSYSTEM_VENDOR_ID
	offSubDevice = 0x2e // PCI_SUBSYSTEM_ID
	offCaps      = 0x34 // PCI_CAPABILITY_LIST
	offIntLine   = 0x3c // PCI_INTERRUPT_LINE
	headerSize   = 0x40 // capabilities begin here

	// configSize is the configuration space with registers of its own. The rest of the 4 KiB that ECAM gives each
	// function reads 0: no extended capabilities [PCIE §7.9].
	configSize = 0x100
	// functionSize is what ECAM gives each function [PCIE §7.2.2].
	functionSize = 0x1000

	numBARs = 6
)

// command is the COMMAND register [PCI §6.2.2].
type command uint16

const (
	commandMemory command = 1 << 1 // PCI_COMMAND_MEMORY: answer at the base addresses
	// commandWritable are the bits that keep what is written: memory, bus master, parity, SERR, INTx disable. There is
	// no I/O space to enable. Bus master is not looked at: a driver that rings a doorbell wants DMA.
	commandWritable command = 1<<1 | 1<<2 | 1<<6 | 1<<8 | 1<<10
)

const statusCaps = 1 << 4 // PCI_STATUS_CAP_LIST

// Low bits of a memory base address register [PCI §6.2.5.1].
const (
	bar64       = 1 << 2 // PCI_BASE_ADDRESS_MEM_TYPE_64
	barPrefetch = 1 << 3 // PCI_BASE_ADDRESS_MEM_PREFETCH
)
