package pci

import "github.com/husk-vm/husk/devices"

// FunctionState is what a guest can change of a function.
type FunctionState struct {
	Space [configSize]byte // the registers, without those of capabilities with devices behind them
	MSIX  MSIXState        // zero for a function without MSI-X
}

// MSIXState is what a guest can change of an MSI-X capability and its table.
type MSIXState struct {
	Enabled, Masked bool // the control word's bits
	Entries         []MSIXEntryState
}

// MSIXEntryState is one entry of the table and its pending bit.
type MSIXEntryState struct {
	Message devices.MSI
	Control uint32 // the Vector Control word
	Pending bool
}

// State returns the function's state. No vCPU runs and its device is paused.
func (f *Function) State() FunctionState {
	f.mu.Lock()
	s := FunctionState{Space: f.space}
	f.mu.Unlock()
	if f.msix != nil {
		s.MSIX = f.msix.state()
	}
	return s
}

func (m *MSIX) state() MSIXState {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := MSIXState{Enabled: m.enabled, Masked: m.masked}
	for i := range m.entries {
		e := &m.entries[i]
		s.Entries = append(s.Entries, MSIXEntryState{Message: e.msg, Control: e.word(3), Pending: e.pending})
	}
	return s
}
