package serial

// All functions here want u.mu held.

// register reads a register, with what reading does to it.
func (u *UART) register(off uint64) uint8 {
	r := &u.regs
	dlab := r.lcr&lcrDLAB != 0
	switch off {
	case regData:
		if dlab {
			return r.dll
		}
		return u.receive()
	case regIER:
		if dlab {
			return r.dlm
		}
		return r.ier
	case regIIR:
		return u.identify()
	case regLCR:
		return r.lcr
	case regMCR:
		return r.mcr
	case regLSR:
		v := u.lineStatus()
		r.overrun = false
		return v
	case regMSR:
		v := r.modemLines() | r.delta
		r.delta = 0
		return v
	case regSCR:
		return r.scr
	}
	return 0xff
}

func (u *UART) setRegister(off uint64, v uint8) {
	r := &u.regs
	dlab := r.lcr&lcrDLAB != 0
	switch off {
	case regData:
		if dlab {
			r.dll = v
			return
		}
		u.send(v)
	case regIER:
		if dlab {
			r.dlm = v
			return
		}
		u.setIER(v & ierAll)
	case regIIR:
		u.setFCR(v)
	case regLCR:
		r.lcr = v
	case regMCR:
		u.setMCR(v & mcrAll)
	case regSCR:
		r.scr = v
	} // LSR and MSR: writing is for factory tests
}

// cause is the pending interrupt of the highest priority, iirNone if none.
func (u *UART) cause() uint8 {
	r := &u.regs
	switch {
	case r.ier&ierLine != 0 && r.overrun:
		return iirLine
	case r.ier&ierReceive != 0 && u.rx.n >= u.trigger():
		return iirReceive
	case r.ier&ierReceive != 0 && u.rx.n > 0:
		return iirTimeout
	case r.ier&ierTHRE != 0 && r.thre:
		return iirTHRE
	case r.ier&ierModem != 0 && r.delta != 0:
		return iirModem
	}
	return iirNone
}

// identify reads the IIR: it takes back a THRE interrupt that it reports.
func (u *UART) identify() uint8 {
	v := u.cause()
	if v == iirTHRE {
		u.regs.thre = false
	}
	if u.regs.fcr&fcrEnable != 0 {
		v |= iirFIFOs
	}
	return v
}

// lineStatus is the LSR. TEMT goes with THRE: a guest that waits for the last bit to leave the wire must not wait for
// the host's terminal.
func (u *UART) lineStatus() uint8 {
	var v uint8
	if u.rx.n > 0 {
		v |= lsrReady
	}
	if u.regs.overrun {
		v |= lsrOverrun
	}
	if !u.stalled {
		v |= lsrTHRE | lsrTEMT
	}
	return v
}

// setIER enables interrupts. Enabling THRE while the transmitter is empty interrupts at once: drivers start to send that
// way, and Linux tests for it (drivers/tty/serial/8250/8250_port.c, UART_BUG_TXEN).
func (u *UART) setIER(v uint8) {
	if v&^u.regs.ier&ierTHRE != 0 && !u.stalled {
		u.regs.thre = true
	}
	u.regs.ier = v
}

// setFCR controls the FIFOs. Clearing the transmit FIFO has nothing to clear: what was sent is on the wire.
func (u *UART) setFCR(v uint8) {
	r := &u.regs
	if (v^r.fcr)&fcrEnable != 0 || v&fcrEnable != 0 && v&fcrClearReceive != 0 {
		u.rx = fifo{}
	}
	if v&fcrEnable == 0 {
		v = 0 // the other bits are programmed only together with the enable
	}
	r.fcr = v & (fcrEnable | fcrTrigger)
	u.refill()
}

// setMCR drives the modem lines, which in loopback are seen at the UART's own inputs.
func (u *UART) setMCR(v uint8) {
	r := &u.regs
	before := r.modemLines()
	r.mcr = v
	after := r.modemLines()
	changed := (before ^ after) >> 4
	if after&msrRI != 0 {
		changed &^= msrRIDelta
	}
	r.delta |= changed
	u.refill()
}

// modemLines is the upper half of the MSR.
func (r *registers) modemLines() uint8 {
	if r.mcr&mcrLoop == 0 {
		return msrCTS | msrDSR | msrDCD // the other end is there
	}
	var v uint8
	for _, wire := range [...]struct{ from, to uint8 }{
		{mcrRTS, msrCTS}, {mcrDTR, msrDSR}, {mcrOut1, msrRI}, {mcrOut2, msrDCD},
	} {
		if r.mcr&wire.from != 0 {
			v |= wire.to
		}
	}
	return v
}

// depth is how many characters the receiver holds.
func (u *UART) depth() int {
	if u.regs.fcr&fcrEnable == 0 {
		return 1
	}
	return fifoSize
}

// trigger is how many characters make a received-data interrupt.
func (u *UART) trigger() int {
	if u.regs.fcr&fcrEnable == 0 {
		return 1
	}
	return triggerLevels[u.regs.fcr&fcrTrigger>>fcrTriggerShift]
}

// receive takes a character from the FIFO, 0 if there is none.
func (u *UART) receive() uint8 {
	if u.rx.n == 0 {
		return 0
	}
	v := u.rx.pop()
	u.n.Received++
	u.refill()
	return v
}

// send takes a character from the guest.
func (u *UART) send(v uint8) {
	if u.regs.mcr&mcrLoop != 0 {
		if u.rx.n == u.depth() {
			u.regs.overrun = true // the new character is lost [NS16550 §8.4]
		} else {
			u.rx.push(v)
		}
	} else {
		u.n.Sent++
		u.transmit(v)
	}
	u.regs.thre = !u.stalled // empty again, on a wire this fast
}
