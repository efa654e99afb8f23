package linux

// The boot structures of an x86 guest, all below the EBDA and all in RAM that the kernel may use again once it has
// read them. Each address is derived from its neighbour; layout_test.go shows that nothing overlaps.
//
//	0x00500  GDT
//	0x06000  PVH start info, module list and memory map
//	0x07000  zero page (struct boot_params)
//	0x08000  stack of the first instructions
//	0x09000  page tables: PML4, PDPTs, page directories
//	0x20000  command line
//	0x30000  setup data
//	0x31000  free: the kernel takes its SMP trampoline and real-mode code from here
//	0x9fc00  reserved: EBDA, video memory, ACPI and SMBIOS tables up to 1 MiB
const (
	page = 0x1000

	gdtBase = 0x500 // after the real-mode vectors and the BIOS data area
	gdtSize = 0x30

	pvhBase = 0x6000
	pvhSize = page

	zeroPageBase = pvhBase + pvhSize
	zeroPageSize = page // struct boot_params [LINUX-BOOT "zero page"]

	stackBase = zeroPageBase + zeroPageSize
	stackSize = page

	pageTableBase = stackBase + stackSize
	pageTableSize = cmdlineBase - pageTableBase
	pageTableMax  = pageTableSize / page

	cmdlineBase = 0x20000
	cmdlineSize = 0x10000

	setupDataBase = cmdlineBase + cmdlineSize
	setupDataSize = page

	lowEnd = setupDataBase + setupDataSize

	// The top of conventional memory on a PC, where the EBDA begins, up to the first byte that every kernel may use.
	legacyBase = 0x9fc00
	legacyEnd  = highBase
	highBase   = 1 << 20
)

const (
	gib     = 1 << 30
	fourGiB = 4 * gib
)
