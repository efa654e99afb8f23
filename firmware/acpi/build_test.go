package acpi

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

// microDesc is a small machine with every optional device; its addresses are those that the tests boot with.
func microDesc() Desc {
	return Desc{
		CPUs:    []uint32{0, 1},
		IOAPIC:  IOAPIC{ID: 2, Addr: 0xfec00000},
		ECAM:    ECAM{Base: 0xe0000000, Buses: 1},
		MMIO32:  Window{0xc0000000, 0x20000000},
		MMIO64:  Window{0x80_0000_0000, 0x40_0000_0000},
		Power:   Power{Port: 0x600, GSI: 9},
		Serial:  &Serial{Port: 0x3f8, IRQ: 4},
		RTC:     true,
		PMTimer: 0x608,
		Panic:   0x505,
		Area:    Window{LegacyBase, LegacySize},
	}
}

// bareDesc has nothing optional, an ECAM above 4 GiB with all buses, and CPUs with ids of both kinds.
func bareDesc() Desc {
	return Desc{
		CPUs:   []uint32{0, 254, 256, 1000},
		IOAPIC: IOAPIC{Addr: 0xfec00000},
		ECAM:   ECAM{Base: 0x40_0000_0000, Buses: 256},
		MMIO32: Window{0xc0000000, 0x20000000},
		Power:  Power{Port: 0x600, GSI: 20},
		Area:   Window{LegacyBase, LegacySize},
	}
}

// TestBuild walks the tables as a kernel does: RSDP, XSDT, and from there on.
func TestBuild(t *testing.T) {
	for _, tt := range []struct {
		name string
		desc Desc
	}{{"micro", microDesc()}, {"bare", bareDesc()}} {
		t.Run(tt.name, func(t *testing.T) {
			tables, err := Build(tt.desc)
			if err != nil {
				t.Fatal(err)
			}
			at := func(addr uint64) []byte {
				for _, p := range tables.Placements {
					if p.Addr == addr {
						return p.Data
					}
				}
				t.Fatalf("no table at %#x", addr)
				return nil
			}
			r := at(tables.RSDP)
			if string(r[:8]) != "RSD PTR " || sum(r[:rsdpV1Size]) != 0 || sum(r) != 0 || len(r) != rsdpSize {
				t.Errorf("RSDP % x", r)
			}
			var found []string
			table := func(addr uint64) []byte {
				b := at(addr)
				if n := le.Uint32(b[headerLength:]); int(n) != len(b) || sum(b) != 0 {
					t.Errorf("%s: length %d of %d, sum %#x", b[:4], n, len(b), sum(b))
				}
				found = append(found, string(b[:4]))
				return b
			}
			x := table(le.Uint64(r[rsdpXSDT:]))
			for e := x[headerSize:]; len(e) > 0; e = e[8:] {
				if b := table(le.Uint64(e)); string(b[:4]) == "FACP" {
					table(le.Uint64(b[fadtXDSDT:]))
				}
			}
			if want := []string{"XSDT", "FACP", "DSDT", "APIC", "MCFG"}; !slices.Equal(found, want) {
				t.Errorf("tables %v, want %v", found, want)
			}
			checkPlaces(t, tables, tt.desc.Area)
		})
	}
}

// checkPlaces holds placements to the area, the alignment and to not overlapping.
func checkPlaces(t *testing.T, tables *Tables, area Window) {
	t.Helper()
	end := area.Base
	for _, p := range tables.Placements {
		if p.Addr < end || p.Addr%tableAlign != 0 {
			t.Errorf("%s at %#x, previous table ends at %#x", p.Name, p.Addr, end)
		}
		end = p.Addr + uint64(len(p.Data))
	}
	if end > area.Base+area.Size {
		t.Errorf("tables end at %#x, outside %v", end, area)
	}
}

func TestBuildRefuses(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*Desc)
		want   error
		text   string
	}{
		{"no CPU", func(d *Desc) { d.CPUs = nil }, ErrBadDesc, "0 CPUs"},
		{"too many CPUs", func(d *Desc) { d.CPUs = make([]uint32, maxCPUs+1) }, ErrBadDesc, "4097 CPUs"},
		{"same id twice", func(d *Desc) { d.CPUs = []uint32{0, 1, 1} }, ErrBadDesc, "APIC id 1"},
		{"broadcast id", func(d *Desc) { d.CPUs = []uint32{0, 255} }, ErrBadDesc, "APIC id 255"},
		{"ECAM without buses", func(d *Desc) { d.ECAM.Buses = 0 }, ErrBadDesc, "ECAM"},
		{"ECAM with too many buses", func(d *Desc) { d.ECAM.Buses = 257 }, ErrBadDesc, "ECAM"},
		{"ECAM unaligned", func(d *Desc) { d.ECAM.Base += 4096 }, ErrBadDesc, "ECAM"},
		{"no 32-bit window", func(d *Desc) { d.MMIO32 = Window{} }, ErrBadDesc, "32-bit window"},
		{"32-bit window too high", func(d *Desc) { d.MMIO32 = Window{1 << 32, 4096} }, ErrBadDesc, "32-bit window"},
		{"32-bit window too long", func(d *Desc) { d.MMIO32.Size = 1 << 31 }, ErrBadDesc, "32-bit window"},
		{"windows overlap", func(d *Desc) { d.MMIO32.Size += 4096 }, ErrBadDesc, "overlap"},
		{"window over the LAPIC", func(d *Desc) { d.MMIO32 = Window{0xfee00000, 1} }, ErrBadDesc, "overlap"},
		{"64-bit window wraps", func(d *Desc) { d.MMIO64.Size = 1<<64 - 1 }, ErrBadDesc, "above the address space"},
		{"no power block", func(d *Desc) { d.Power.Port = 0 }, ErrBadDesc, "no power block"},
		{"ports overlap", func(d *Desc) { d.PMTimer = 0x604 }, ErrBadDesc, "power block and PM timer"},
		{"ports of PCI", func(d *Desc) { d.Panic = 0xcff }, ErrBadDesc, "PCI configuration and panic"},
		{"ports run out", func(d *Desc) { d.Serial.Port = 0xfffc }, ErrBadDesc, "serial port"},
		{"area too small", func(d *Desc) { d.Area.Size = 512 }, ErrNoRoom, "over the end"},
		{"area too small by one", func(d *Desc) { d.Area.Size = usedArea(t, *d) - 1 }, ErrNoRoom, "1 bytes over"},
		{"area wraps", func(d *Desc) { d.Area.Base = 1<<64 - 16 }, ErrBadDesc, "above the address space"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := microDesc()
			tt.change(&d)
			_, err := Build(d)
			if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("Build: %v, want %v with %q", err, tt.want, tt.text)
			}
		})
	}
}

// usedArea is how many bytes of its area d fills.
func usedArea(t *testing.T, d Desc) uint64 {
	t.Helper()
	tables, err := Build(d)
	if err != nil {
		t.Fatal(err)
	}
	last := tables.Placements[len(tables.Placements)-1]
	return last.Addr + uint64(len(last.Data)) - d.Area.Base
}

func TestBuildFitsExactly(t *testing.T) {
	d := microDesc()
	d.Area.Size = usedArea(t, d)
	if _, err := Build(d); err != nil {
		t.Error(err)
	}
}
