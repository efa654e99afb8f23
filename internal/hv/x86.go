package hv

// The x86 part of the seam. It describes the guest's architecture, not the host's: the software CPU runs x86 guests anywhere.

import "github.com/husk-vm/husk/internal/guestmem"

// X86ReservedBase and X86ReservedSize are four pages of guest-physical address space below 4 GiB that a back end may use
// for tables of its own: on Intel CPUs without unrestricted guest mode KVM keeps a task state segment and an identity
// map there. A machine puts neither RAM nor devices into them.
const (
	X86ReservedBase guestmem.GPA = 0xfffb_c000
	X86ReservedSize uint64       = 0x4000
)

// X86VCPU is a vCPU of an x86-64 guest. Methods are for the vCPU's own thread, while it is not in Run.
type X86VCPU interface {
	VCPU
	Regs(*X86Regs) error
	SetRegs(*X86Regs) error
	SetCPUID([]CPUIDEntry) error
	// MSRs fills in the Value of each entry; SetMSRs sets them in order. An MSR that is refused is named in the error.
	MSRs([]MSREntry) error
	SetMSRs([]MSREntry) error
}

// X86Regs are the registers that boot protocols, traps and save points need [SDM vol. 1 §3.4, vol. 3A §2].
type X86Regs struct {
	RAX, RBX, RCX, RDX, RSI, RDI, RSP, RBP uint64
	R8, R9, R10, R11, R12, R13, R14, R15   uint64
	RIP, RFLAGS                            uint64
	CS, DS, ES, FS, GS, SS, TR, LDT        X86Segment
	GDT, IDT                               X86Table
	CR0, CR2, CR3, CR4, CR8                uint64
	EFER, APICBase                         uint64
}

// X86Segment is a segment register with its hidden part.
type X86Segment struct {
	Base                      uint64
	Limit                     uint32
	Selector                  uint16
	Type, DPL                 uint8
	Present, DB, S, L, G, AVL bool
	Unusable                  bool
}

// X86Table is a descriptor table register.
type X86Table struct {
	Base  uint64
	Limit uint16
}

// CPUIDEntry is the answer to one CPUID leaf.
type CPUIDEntry struct {
	Leaf, Subleaf      uint32
	HasSubleaf         bool
	EAX, EBX, ECX, EDX uint32
}

// MSREntry is a model-specific register and its value.
type MSREntry struct {
	Index uint32
	Value uint64
}

// X86Backend is a back end for x86-64 guests.
type X86Backend interface {
	Backend
	// SupportedCPUID returns what guests may be told here, before per-vCPU topology is filled in.
	SupportedCPUID() ([]CPUIDEntry, error)
}

// X86LAPICs is a VM whose local APICs are the back end's (KVM's split mode); the IOAPIC is ours.
type X86LAPICs interface {
	// SignalMSI delivers one message. Any goroutine.
	SignalMSI(addr uint64, data uint32) error
	// SetIOAPICRoutes tells which message each IOAPIC pin would send, so that ends of level-triggered interrupts come
	// back as ExitIOAPICEOI. An entry with addr and data 0 is masked; the end of an interrupt that was under way when its
	// pin was masked is still reported. Any goroutine. It may wait for the host, so call it for changes only.
	SetIOAPICRoutes(pins []MSIRoute) error
}

// MSIRoute is a message-signalled interrupt's address and data.
type MSIRoute struct {
	Addr uint64
	Data uint32
}

// IRQFDs is a VM that makes sources of message-signalled interrupts. Whether Raise sets an event that the hypervisor
// watches or sends the message itself is the back end's choice.
type IRQFDs interface {
	NewIRQ() (IRQ, error)
}

// IRQ is one such source. Any goroutine may call its methods; Raise does not block. Before the first Route, after Close,
// and after a Route to an address that is none of an interrupt, Raise does nothing.
type IRQ interface {
	Route(addr uint64, data uint32) error
	Raise()
	Close() error
}

// Events is a VM with doorbells: its events can be set by guest stores without leaving the guest (ioeventfd).
type Events interface {
	NewEvent() (Event, error)
	// Attach makes guest MMIO stores of any width to addr set e.
	Attach(e Event, addr uint64) (detach func() error, err error)
}

// Event is a waitable event. See devices.Doorbell, whose method set it shares.
type Event interface {
	Ring()
	Wait() bool
	Close() error
}

// X86Clock is a VM with a paravirtual clock that must be told about pauses.
type X86Clock interface {
	PauseClock() error
	ResumeClock() error
}
