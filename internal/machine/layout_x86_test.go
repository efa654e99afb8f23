package machine

import (
	"cmp"
	"slices"
	"testing"

	"github.com/husk-vm/husk/internal/guestmem"
)

// span is [base, base+size) with a name.
type span struct {
	name       string
	base, size uint64
}

func disjoint(t *testing.T, spans []span) {
	t.Helper()
	slices.SortFunc(spans, func(a, b span) int { return cmp.Compare(a.base, b.base) })
	for i := 1; i < len(spans); i++ {
		if a, b := spans[i-1], spans[i]; a.base+a.size > b.base {
			t.Errorf("%s [%#x, %#x) reaches into %s at %#x", a.name, a.base, a.base+a.size, b.name, b.base)
		}
	}
}

func TestAddressMap(t *testing.T) {
	for _, size := range []uint64{MinMemory, 128 << 20, lowRAMEnd - guestmem.PageSize, lowRAMEnd, lowRAMEnd + guestmem.PageSize, 5 << 30, MaxMemory} {
		ram := ramRegions(size)
		var total uint64
		spans := []span{
			{"PCI window", mmio32Base, mmio32Size},
			{"ECAM", ecamBase, ecamSize},
			{"IOAPIC", ioapicBase, ioapicSize},
			{"LAPIC", lapicBase, 0x1000},
			{"64-bit PCI window", mmio64Base(ram), mmio64Size},
		}
		for _, r := range ram {
			spans = append(spans, span{"RAM", uint64(r.Base), r.Size})
			total += r.Size
		}
		disjoint(t, spans)
		if total != size {
			t.Errorf("%#x bytes of RAM became %#x", size, total)
		}
		if end := mmio64Base(ram) + mmio64Size; end > 1<<40 {
			t.Errorf("with %#x bytes of RAM the 64-bit window ends at %#x, beyond 40 bits", size, end)
		}
	}
}

func TestFirmwareArea(t *testing.T) {
	disjoint(t, []span{{"ACPI", acpiBase, acpiSize}, {"SMBIOS", smbiosBase, smbiosSize}, {"high RAM", 1 << 20, 1}})
}

func TestPorts(t *testing.T) {
	disjoint(t, []span{
		{"keyboard data", portKeyboard, 1},
		{"keyboard command", portKeyboard + 4, 1},
		{"RTC", portRTC, 2},
		{"POST", portPOST, 1},
		{"COM1", portCOM1, 8},
		{"panic", portPanic, 1},
		{"power", portPower, 8},
		{"PM timer", portPMTimer, 4},
		{"PCI", portPCI, 8},
	})
}

func TestCheckSizes(t *testing.T) {
	for _, tt := range []struct {
		cpus   int
		memory uint64
		ok     bool
	}{
		{1, MinMemory, true},
		{MaxCPUs, MaxMemory, true},
		{0, MinMemory, false},
		{-1, MinMemory, false},
		{MaxCPUs + 1, MinMemory, false},
		{1, 0, false},
		{1, MinMemory - guestmem.PageSize, false},
		{1, MinMemory + 1, false},
		{1, MaxMemory + guestmem.PageSize, false},
		{1, ^uint64(0), false},
	} {
		if err := checkSizes(tt.cpus, tt.memory); (err == nil) != tt.ok {
			t.Errorf("%d CPUs, %#x bytes: %v", tt.cpus, tt.memory, err)
		}
	}
}
