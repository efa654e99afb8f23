package acpi

import "fmt"

// The legacy area is where a kernel looks for the RSDP by itself [ACPI §5.2.5.1], without the 64 KiB that SMBIOS uses.
const (
	LegacyBase = 0xe0000
	LegacySize = 0x10000
)

// Placement is a table and its guest-physical address.
type Placement struct {
	Name string // the table's signature
	Addr uint64
	Data []byte
}

// Tables are all tables of a machine.
type Tables struct {
	RSDP       uint64 // the address to tell the kernel
	Placements []Placement
}

// tableAlign keeps tables apart at the alignment the RSDP must have [ACPI §5.2.5.1].
const tableAlign = 16

// Build writes the tables of d into d.Area, ascending, the RSDP first.
func Build(d Desc) (*Tables, error) {
	if err := d.check(); err != nil {
		return nil, err
	}
	next := (d.Area.Base + tableAlign - 1) &^ (tableAlign - 1)
	var out Tables
	reserve := func(size int) uint64 {
		addr := next
		next = (addr + uint64(size) + tableAlign - 1) &^ (tableAlign - 1)
		return addr
	}
	put := func(name string, addr uint64, data []byte) {
		out.Placements = append(out.Placements, Placement{name, addr, data})
	}
	madt, mcfg, dsdt := madt(&d), mcfg(d.ECAM), dsdt(&d)
	const listed = 3
	out.RSDP = reserve(rsdpSize)
	xsdtAddr := reserve(headerSize + 8*listed)
	fadtAddr := reserve(fadtSize)
	madtAddr := reserve(len(madt))
	mcfgAddr := reserve(len(mcfg))
	dsdtAddr := reserve(len(dsdt))
	put("RSDP", out.RSDP, rsdp(xsdtAddr))
	put("XSDT", xsdtAddr, xsdt([]uint64{fadtAddr, madtAddr, mcfgAddr}))
	put("FACP", fadtAddr, fadt(&d, dsdtAddr))
	put("APIC", madtAddr, madt)
	put("MCFG", mcfgAddr, mcfg)
	put("DSDT", dsdtAddr, dsdt)
	if end, most := dsdtAddr+uint64(len(dsdt)), d.Area.Base+d.Area.Size; end > most {
		return nil, fmt.Errorf("acpi: %w: %d bytes over the end of %v", ErrNoRoom, end-most, d.Area)
	}
	return &out, nil
}
