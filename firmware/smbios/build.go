package smbios

import "fmt"

// Placement is a piece of the tables and its guest-physical address.
type Placement struct {
	Name string
	Addr uint64
	Data []byte
}

// The 64-bit entry point [SMBIOS §5.2.2].
const (
	entrySize     = 24
	entryChecksum = 5
	entryAlign    = 16
	versionMajor  = 3
	versionMinor  = 0
)

// Build writes the tables of d into d.Area: the entry point, then the structures.
func Build(d Desc) ([]Placement, error) {
	if err := d.check(); err != nil {
		return nil, err
	}
	if d.Manufacturer == "" {
		d.Manufacturer = vendor
	}
	table := structures(&d)
	entryAddr := (d.Area.Base + entryAlign - 1) &^ (entryAlign - 1)
	tableAddr := (entryAddr + entrySize + entryAlign - 1) &^ (entryAlign - 1)
	if end, most := tableAddr+uint64(len(table)), d.Area.Base+d.Area.Size; end > most {
		return nil, fmt.Errorf("smbios: %w: %d bytes over the end of %v", ErrNoRoom, end-most, d.Area)
	}
	return []Placement{
		{"SMBIOS entry point", entryAddr, entryPoint(tableAddr, len(table))},
		{"SMBIOS structures", tableAddr, table},
	}, nil
}

func entryPoint(table uint64, size int) []byte {
	b := append([]byte("_SM3_"), 0, entrySize, versionMajor, versionMinor, 0, 1, 0) // docrev 0, entry point revision 1
	b = le.AppendUint64(le.AppendUint32(b, uint32(size)), table)
	var sum byte
	for _, c := range b {
		sum += c
	}
	b[entryChecksum] = -sum
	return b
}
