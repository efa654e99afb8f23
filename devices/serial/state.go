package serial

import "fmt"

// State is everything a guest can tell one UART from another by, and what is on its way. The zero value is the power-on
// state.
type State struct {
	IER, LCR, MCR, SCR, DLL, DLM uint8
	FCR                          uint8 // enable and trigger level
	ModemDelta                   uint8 // lower half of the MSR
	Overrun                      bool
	THRE                         bool   // a transmitter-empty interrupt is due, enabled or not
	FIFO                         []byte // up to 16 received characters, up to 1 with FIFOs disabled
	Input                        []byte // up to InputSize bytes that the FIFO had no room for
	Output                       []byte // up to OutputSize bytes that no Write was given yet
}

// State returns the state. Call it when no vCPU runs.
func (u *UART) State() State {
	u.mu.Lock()
	defer u.mu.Unlock()
	r := u.regs
	return State{
		IER: r.ier, LCR: r.lcr, MCR: r.mcr, SCR: r.scr, DLL: r.dll, DLM: r.dlm, FCR: r.fcr,
		ModemDelta: r.delta, Overrun: r.overrun, THRE: r.thre,
		FIFO: u.rx.bytes(), Input: u.input.bytes(), Output: u.output.bytes(),
	}
}

// SetState replaces the state and drives the line to match. Waiting input and output are replaced too. A state that no
// UART can have is refused and changes nothing.
func (u *UART) SetState(s State) error {
	depth := 1
	if s.FCR&fcrEnable != 0 {
		depth = fifoSize
	}
	switch {
	case s.IER&^ierAll != 0 || s.MCR&^mcrAll != 0 || s.ModemDelta&^msrDeltas != 0 || s.FCR&^(fcrEnable|fcrTrigger) != 0:
		return fmt.Errorf("restore serial port: reserved bits are set")
	case s.FCR != 0 && s.FCR&fcrEnable == 0:
		return fmt.Errorf("restore serial port: trigger level without FIFO")
	case len(s.FIFO) > depth || len(s.Input) > InputSize || len(s.Output) > OutputSize:
		return fmt.Errorf("restore serial port: %d, %d, %d bytes in FIFO, input and output are too many",
			len(s.FIFO), len(s.Input), len(s.Output))
	}
	u.change(func() {
		u.regs = registers{
			ier: s.IER, lcr: s.LCR, mcr: s.MCR, scr: s.SCR, dll: s.DLL, dlm: s.DLM, fcr: s.FCR,
			delta: s.ModemDelta, overrun: s.Overrun, thre: s.THRE,
		}
		u.rx = fifo{}
		for _, v := range s.FIFO {
			u.rx.push(v)
		}
		u.input.drop(u.input.n)
		u.input.push(s.Input)
		u.refill()
		u.output.drop(u.output.n)
		u.unstall()
		u.lossy = false
		for _, v := range s.Output {
			u.transmit(v)
		}
		u.regs.thre = u.regs.thre && !u.stalled
	})
	return nil
}
