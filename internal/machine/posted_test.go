package machine

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"testing"

	"github.com/husk-vm/husk/internal/hv"
)

// postingVM is a VM that posts what it was told to.
type postingVM struct {
	hv.VM
	zones   []string
	refuse  error
	pending []hv.Exit
}

func (vm *postingVM) PostPort(port uint16, n int) error {
	vm.zones = append(vm.zones, fmt.Sprintf("port %#x+%d", port, n))
	return vm.refuse
}

func (vm *postingVM) PostMMIO(addr uint64, n int) error {
	vm.zones = append(vm.zones, fmt.Sprintf("mmio %#x+%d", addr, n))
	return vm.refuse
}

func (vm *postingVM) TakePosted(serve func(*hv.Exit)) {
	for i := range vm.pending {
		serve(&vm.pending[i])
	}
	vm.pending = vm.pending[:0]
}

// scriptedCPU exits as it is told.
type scriptedCPU struct {
	hv.X86VCPU
	exits []hv.Exit
}

func (c *scriptedCPU) Run(e *hv.Exit) error {
	*e, c.exits = c.exits[0], c.exits[1:]
	return nil
}

// journal is a device that notes what reaches it.
type journal struct {
	name string
	log  *[]string
}

func (j journal) Read(off uint64, p []byte) {
	*j.log = append(*j.log, fmt.Sprintf("%s+%d read %d", j.name, off, len(p)))
}

func (j journal) Write(off uint64, p []byte) {
	*j.log = append(*j.log, fmt.Sprintf("%s+%d = % x", j.name, off, p))
}

// postingMachine is a machine with two devices behind its buses.
func postingMachine(t *testing.T, vm hv.VM) (*Machine, *[]string) {
	t.Helper()
	var log []string
	m := &Machine{vm: vm, ctl: newControl(1), log: slog.New(slog.NewTextHandler(io.Discard, nil))}
	for _, err := range []error{
		m.ports.Map(portPCI, 8, journal{"pci", &log}),
		m.mmio.Map(ioapicBase, ioapicSize, journal{"ioapic", &log}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return m, &log
}

func word(v uint32) []byte { return binary.LittleEndian.AppendUint32(nil, v) }

// TestPostedComesFirst: what was posted reaches its device before the access that the vCPU left the guest for.
func TestPostedComesFirst(t *testing.T) {
	vm := &postingVM{}
	m, log := postingMachine(t, vm)
	if err := m.postWrites(); err != nil {
		t.Fatal(err)
	}
	if want := []string{"port 0xcf8+4", "mmio 0xfec00000+4"}; !slices.Equal(vm.zones, want) {
		t.Errorf("posted are %v, want %v", vm.zones, want)
	}
	v := &vcpu{m: m, cpu: &scriptedCPU{exits: []hv.Exit{
		{Kind: hv.ExitPort, Addr: portPCI + 4, Size: 4, Data: make([]byte, 4)},
		{Kind: hv.ExitMMIO, Addr: ioapicBase + 0x10, Size: 4, Write: true, Data: word(7)},
		{Kind: hv.ExitKicked},
	}}}
	vm.pending = []hv.Exit{{Kind: hv.ExitPort, Addr: portPCI, Size: 4, Write: true, Data: word(0x8000_0800)}}
	v.step()
	vm.pending = []hv.Exit{
		{Kind: hv.ExitMMIO, Addr: ioapicBase, Size: 4, Write: true, Data: word(0x10)},
		{Kind: hv.ExitMMIO, Addr: ioapicBase, Size: 4, Write: true, Data: word(0x11)},
	}
	v.step()
	vm.pending = []hv.Exit{{Kind: hv.ExitMMIO, Addr: ioapicBase, Size: 4, Write: true, Data: word(0x12)}}
	v.step()
	want := []string{
		"pci+0 = 00 08 00 80", "pci+4 read 4",
		"ioapic+0 = 10 00 00 00", "ioapic+0 = 11 00 00 00", "ioapic+16 = 07 00 00 00",
		"ioapic+0 = 12 00 00 00", // a kick is an exit too: the machine may be about to pause
	}
	if !slices.Equal(*log, want) {
		t.Errorf("devices saw %q, want %q", *log, want)
	}
	if s := m.Stats(); s.PostedWrites != 4 || s.PortExits != 1 || s.MMIOExits != 1 || s.Exits != 3 {
		t.Errorf("%+v", s)
	}
}

func TestPostedMalformedEndsTheMachine(t *testing.T) {
	vm := &postingVM{}
	m, _ := postingMachine(t, vm)
	if err := m.postWrites(); err != nil {
		t.Fatal(err)
	}
	nonsense := &hv.FailedError{Reason: "nonsense"}
	vm.pending = []hv.Exit{{Kind: hv.ExitFailed, Err: nonsense}}
	m.takePosted()
	if m.ctl.at() != phaseEnding || m.ctl.exit.Reason != Failed || !errors.Is(m.ctl.exit.Err, nonsense) {
		t.Errorf("%+v", m.ctl.exit)
	}
}

func TestPostWritesFallsBack(t *testing.T) {
	other := errors.New("other")
	for _, tt := range []struct {
		name string
		vm   hv.VM
		want error
	}{
		{"no such back end", struct{ hv.VM }{}, nil},
		{"not on this host", &postingVM{refuse: fmt.Errorf("old: %w", errors.ErrUnsupported)}, nil},
		{"failure", &postingVM{refuse: other}, other},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m, _ := postingMachine(t, tt.vm)
			if err := m.postWrites(); !errors.Is(err, tt.want) {
				t.Errorf("%v, want %v", err, tt.want)
			}
			m.takePosted() // nothing to take, and nobody to take it from
		})
	}
}

// TestPMTimerOnlyWithoutAClock holds tables and bus together: what ACPI describes is there, and nothing else.
func TestPMTimerOnlyWithoutAClock(t *testing.T) {
	for _, tt := range []struct {
		name string
		vm   hv.VM
		want bool
	}{{"clock", clockVM{}, false}, {"no clock", struct{ hv.VM }{}, true}} {
		t.Run(tt.name, func(t *testing.T) {
			m := &Machine{vm: tt.vm, cpus: 1}
			if got := m.acpiDesc(ramRegions(MinMemory)).PMTimer == portPMTimer; got != tt.want {
				t.Errorf("described: %v, want %v", got, tt.want)
			}
		})
	}
}

type clockVM struct{ hv.VM }

func (clockVM) PauseClock() error  { return nil }
func (clockVM) ResumeClock() error { return nil }
