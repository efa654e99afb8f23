package machine

import (
	"errors"
	"fmt"

	"github.com/husk-vm/husk/internal/hv"
)

// posted are the writes that need no exit of their own.
type posted struct {
	vm    hv.PostedWrites // nil: there are none
	serve func(*hv.Exit)  // made once: a method value a call would allocate
}

// postWrites lets the guest go on after writes to the two index registers of the PC: PCI's CONFIG_ADDRESS and the IOAPIC's
// IOREGSEL. A booting Linux writes them a thousand times, and each exit saved is worth more than all that serves it.
//
// These two are safe because an index alone does nothing: it is seen only through its data register (or read back), which
// exits, and what was posted is served before that exit is. The order on each register, and between a vCPU's writes to
// index and data, is therefore the guest's own. What another vCPU writes meanwhile could slip in between the two just as
// on real hardware, so kernels hold a lock around them (linux pci_config_lock, ioapic_lock), and a lock that one vCPU
// gave up and another took orders their posted writes too. An index that is never used is never missed: nothing needs it
// when the guest sleeps, is paused or ends.
//
// Data registers stay as they are, with the IOAPIC's EOI register: their writes act.
func (m *Machine) postWrites() error {
	vm, ok := m.vm.(hv.PostedWrites)
	if !ok {
		return nil
	}
	for _, err := range []error{vm.PostPort(portPCI, indexSize), vm.PostMMIO(ioapicBase, indexSize)} {
		if errors.Is(err, errors.ErrUnsupported) {
			continue // these writes exit like all others
		}
		if err != nil {
			return fmt.Errorf("machine: %w", err)
		}
		m.posted = posted{vm, m.servePosted}
	}
	return nil
}

// indexSize is how many bytes both index registers have.
const indexSize = 4

// takePosted serves what vCPUs have posted. A vCPU's thread calls it after each Run, before it serves the exit.
func (m *Machine) takePosted() {
	if m.posted.vm != nil {
		m.posted.vm.TakePosted(m.posted.serve)
	}
}

// servePosted replays one posted write. The back end holds a lock: the devices behind both registers store the index and
// return, they neither wait nor send interrupts.
func (m *Machine) servePosted(e *hv.Exit) {
	m.postedWrites.Add(1)
	switch e.Kind {
	case hv.ExitPort:
		access(&m.ports, e)
	case hv.ExitMMIO:
		access(&m.mmio, e)
	default:
		m.finish(Exit{Reason: Failed, Err: fmt.Errorf("machine: posted write: %w", e.Err)})
	}
}
