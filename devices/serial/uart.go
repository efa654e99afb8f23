package serial

import (
	"io"
	"sync"
	"time"

	"github.com/husk-vm/husk/devices"
)

const (
	// OutputSize and InputSize bound, in bytes, what waits for the host to write it and for the guest to read it.
	OutputSize = 64 << 10
	InputSize  = 4 << 10

	// stallTime is how long the host may take no byte of a full buffer before it counts as stopped, not slow.
	stallTime = time.Second
)

// Config is what a UART is connected to.
type Config struct {
	// Output gets what the guest sends, from one goroutine. It may block. Errors are counted and what it did not take
	// is lost. nil discards.
	Output io.Writer
	// Line is high while an enabled interrupt is pending. nil if not connected.
	Line devices.Line
}

// UART is a 16550A. Its wire is infinitely fast: there is no baud rate (the divisor is kept for the guest to read), no
// framing, no parity, and the other end always has CTS, DSR and DCD up. OUT2 does not gate the line: that AND gate is on
// a PC's board, not in the chip, and kernels that find the UART through ACPI may never raise it.
//
// Output. A guest's write must never wait for the host, and a console should lose nothing. So bytes go to a buffer that
// a goroutine writes out. While there is room the transmitter is always empty. When the buffer is full THRE stays low,
// as if the wire were slow: a terminal that is merely slow loses nothing, polling guests poll and interrupt-driven ones
// get their interrupt when half of the buffer is free. But a terminal that is stopped must not stop the guest: a boot
// that waits for its console to be read looks like a hang. When the host took no byte for a second, THRE rises again
// and new bytes replace the oldest, so that what a returning reader sees is the end of the story. Flow control resumes
// with the first byte that the host takes.
//
// Input waits in a bounded buffer from which the FIFO refills as the guest reads: the wire stops when the guest does
// not read, so nothing overruns and a flood from the host costs InputSize bytes (CVE-2020-27173). The character timeout
// is immediate: data below the FIFO's trigger level interrupts at once.
//
// Any goroutine may call any method.
type UART struct {
	irq     *devices.Output
	out     io.Writer
	pending chan struct{} // one slot: there is output
	room    chan struct{} // one slot: there is room for input
	closing chan struct{} // closed by Close
	drained chan struct{} // closed when the writing goroutine ended

	mu      sync.Mutex
	regs    registers   // guarded by mu
	rx      fifo        // what the guest can read, guarded by mu
	input   ring        // what the host sent and the FIFO had no room for, guarded by mu
	output  ring        // what the guest sent, guarded by mu
	stalled bool        // THRE is low: output is full and the host is thought to be slow, guarded by mu
	lossy   bool        // the host is thought to have stopped, guarded by mu
	timer   *time.Timer // runs while stalled, else nil, guarded by mu
	started bool        // guarded by mu
	closed  bool        // guarded by mu
	n       Counters    // guarded by mu
}

// registers are those that hold what was written, and latches.
type registers struct {
	ier, lcr, mcr, scr, dll, dlm uint8
	fcr                          uint8 // fcrEnable and fcrTrigger
	delta                        uint8 // msrDeltas
	overrun                      bool
	thre                         bool // the transmitter became empty and nobody was told
}

// Counters say what a UART did, in bytes except Errors.
type Counters struct {
	Sent     uint64 // by the guest
	Received uint64 // by the guest
	Dropped  uint64 // sent by the guest and never written: the host had stopped
	Errors   uint64 // of Output.Write
}

// New returns a UART as after power-on. Nothing is written to cfg.Output before Start.
func New(cfg Config) *UART {
	u := &UART{
		irq:     devices.NewOutput(cfg.Line),
		out:     cfg.Output,
		pending: make(chan struct{}, 1),
		room:    make(chan struct{}, 1),
		closing: make(chan struct{}),
		drained: make(chan struct{}),
	}
	if u.out == nil {
		u.out = io.Discard
	}
	u.input.buf = make([]byte, InputSize)
	u.output.buf = make([]byte, OutputSize)
	return u
}

// Reset brings the registers to their power-on values and empties the FIFO. What waits for the host to write it, and
// what the host sent and the guest has not seen, stays: the wires of a machine outlive its reset.
func (u *UART) Reset() {
	u.change(func() {
		u.regs = registers{}
		u.rx = fifo{}
		u.refill()
	})
}

// Counters returns what the UART did so far.
func (u *UART) Counters() Counters {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.n
}

// Read implements devices.Device. Wide accesses reach the registers as if they came byte by byte.
func (u *UART) Read(off uint64, p []byte) {
	u.change(func() {
		for i := range p {
			p[i] = u.register(max(off, off+uint64(i)))
		}
	})
}

// Write implements devices.Device.
func (u *UART) Write(off uint64, p []byte) {
	u.change(func() {
		for i, v := range p {
			u.setRegister(max(off, off+uint64(i)), v)
		}
	})
}

// change runs fn with the UART locked, then brings the line to the level that the registers ask for.
func (u *UART) change(fn func()) {
	u.mu.Lock()
	fn()
	u.irq.Latch(u.cause() != iirNone)
	u.mu.Unlock()
	u.irq.Drive()
}

var _ devices.Device = (*UART)(nil)
