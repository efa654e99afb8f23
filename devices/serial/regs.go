package serial

// Size is how many ports (or MMIO bytes) a UART decodes.
const Size = 8

// Registers [NS16550 §8.0]. DLAB is bit 7 of the line control register.
const (
	regData = 0 // RBR when read, THR when written; DLL if DLAB
	regIER  = 1 // interrupt enable; DLM if DLAB
	regIIR  = 2 // interrupt identification when read, FCR when written
	regLCR  = 3 // line control
	regMCR  = 4 // modem control
	regLSR  = 5 // line status
	regMSR  = 6 // modem status
	regSCR  = 7 // scratch
)

// Interrupt enable register [NS16550 §8.7].
const (
	ierReceive = 1 << 0 // ERBFI: received data available, and character timeout
	ierTHRE    = 1 << 1 // ETBEI: transmitter holding register empty
	ierLine    = 1 << 2 // ELSI: receiver line status
	ierModem   = 1 << 3 // EDSSI: modem status
	ierAll     = ierReceive | ierTHRE | ierLine | ierModem
)

// Interrupt identification register, in order of priority [NS16550 §8.6].
const (
	iirLine    = 0x06
	iirReceive = 0x04
	iirTimeout = 0x0c // data in the FIFO, less than the trigger level
	iirTHRE    = 0x02
	iirModem   = 0x00
	iirNone    = 0x01
	iirFIFOs   = 0xc0 // FIFOs enabled
)

// FIFO control register [NS16550 §8.5].
const (
	fcrEnable       = 1 << 0
	fcrClearReceive = 1 << 1
	fcrTrigger      = 3 << 6
	fcrTriggerShift = 6
)

// triggerLevels are the fill levels of fcrTrigger.
var triggerLevels = [4]int{1, 4, 8, 14}

const lcrDLAB = 1 << 7

// Modem control register [NS16550 §8.8].
const (
	mcrDTR  = 1 << 0
	mcrRTS  = 1 << 1
	mcrOut1 = 1 << 2
	mcrOut2 = 1 << 3
	mcrLoop = 1 << 4
	mcrAll  = mcrDTR | mcrRTS | mcrOut1 | mcrOut2 | mcrLoop
)

// Line status register [NS16550 §8.4].
const (
	lsrReady   = 1 << 0 // DR: data to read
	lsrOverrun = 1 << 1 // OE
	lsrTHRE    = 1 << 5
	lsrTEMT    = 1 << 6
)

// Modem status register [NS16550 §8.9]: the lines, and below each a bit that says it changed since the last read.
const (
	msrDeltas  = 0x0f
	msrRIDelta = 1 << 2 // TERI: only the end of a ring counts
	msrCTS     = 1 << 4
	msrDSR     = 1 << 5
	msrRI      = 1 << 6
	msrDCD     = 1 << 7
)

const fifoSize = 16
