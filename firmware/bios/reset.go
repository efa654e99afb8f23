package bios

// ResetBase is where the jump to the BIOS's reset code goes, f000:fff0 in real mode, and ResetSize is the room there.
const (
	ResetBase = 0xffff0
	ResetSize = 0x10
)

// Placement is bytes and their guest-physical address.
type Placement struct {
	Name string
	Addr uint64
	Data []byte
}

// ResetVector is real-mode code that resets the machine: it writes value to the byte-wide port, and halts for good in
// case the machine takes its time.
func ResetVector(port uint16, value byte) Placement {
	return Placement{
		Name: "reset vector",
		Addr: ResetBase,
		Data: []byte{
			0xba, byte(port), byte(port >> 8), // mov dx, port
			0xb0, value, // mov al, value
			0xee,       // out dx, al
			0xfa,       // cli
			0xf4,       // hlt
			0xeb, 0xfd, // jmp to the hlt
		},
	}
}
