package devices

// Device is a block of registers. Offsets count from the block's base: a device does not know its address.
//
// p has 1, 2, 4 or 8 bytes, little-endian. Calls come from any vCPU thread, several at once; the device locks. Bad
// offsets and widths act as hardware does: reads fill p with ones, writes are dropped. Neither may block.
type Device interface {
	Read(off uint64, p []byte)
	Write(off uint64, p []byte)
}

// Line is one level-triggered interrupt input of an interrupt controller. Any goroutine may call Set; it does not block.
type Line interface {
	Set(high bool)
}

// MSI is a message-signalled interrupt: a 32-bit store of Data to Addr [PCIE §6.1.4].
type MSI struct {
	Addr uint64
	Data uint32
}

// MSIVector is one source of message-signalled interrupts, such as an entry of an MSI-X table. Any goroutine may call
// its methods.
type MSIVector interface {
	// Route sets the message that Raise sends from now on.
	Route(MSI) error
	// Raise sends the message. It does not block.
	Raise()
	// Close gives the vector back. Raise after Close does nothing.
	Close() error
}

// Interrupts makes vectors. A machine's back end decides how they reach the vCPU (an irqfd, an ioctl, a user-space LAPIC).
type Interrupts interface {
	NewMSI() (MSIVector, error)
}

// Doorbell is an event that a guest's register write sets and one worker waits for. Rings before Wait are remembered,
// many rings may count as one.
type Doorbell interface {
	// Ring sets the event. Any goroutine; does not block.
	Ring()
	// Wait blocks the calling thread until the event is set, clears it and returns true; after Close it returns false,
	// at once and for ever. One goroutine only.
	Wait() bool
	// Close wakes the waiter for good. It may be called twice. Resources go when both Close was called and no Wait runs.
	Close() error
}

// Doorbells makes doorbells, and where the host can, lets guest stores ring them without leaving the guest.
type Doorbells interface {
	NewDoorbell() (Doorbell, error)
	// Attach makes every guest store of any width to the MMIO address addr ring d directly; such stores no longer
	// reach the bus. Where the host has no such path the error satisfies errors.Is(err, errors.ErrUnsupported) and
	// stores keep coming as Device.Write. Detach undoes it.
	Attach(d Doorbell, addr uint64) (detach func() error, err error)
}
