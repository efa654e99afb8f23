package hv

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/husk-vm/husk/internal/guestmem"
)

// Backend is one way to run guest code on this host.
type Backend interface {
	// Name is the word users choose it by: "kvm", "hvf", "whp", "soft".
	Name() string
	// Probe measures whether and how fast the back end works here. It changes nothing and leaves nothing behind.
	Probe(ctx context.Context) Report
	// NewVM makes an empty VM around mem, which must outlive it. All of mem's regions are mapped.
	NewVM(mem *guestmem.Memory, cfg Config) (VM, error)
}

// Config is what a back end must know before the first vCPU exists.
type Config struct {
	CPUs int // number of vCPUs that will be made, 1 or more
}

// Report says what Probe found out.
type Report struct {
	Usable bool
	Reason string // why not, or what limits it: one line, for a person
	Advice string // what to do about it, "" if nothing
	// KernelRate and UserRate are simple instructions a second in guest kernel and user mode, 0 if not measured.
	KernelRate, UserRate float64
	// Setup is how long making a VM with one vCPU took.
	Setup time.Duration
	// Details are further facts, such as the API version and capabilities, in a fixed order.
	Details []string
}

// VM is one virtual machine without devices. Optional capabilities are found by type assertion.
type VM interface {
	// NewVCPU makes vCPU number id (0-based, also its APIC id). The caller's goroutine must be locked to its thread,
	// and Run, Regs and SetRegs may be called from that thread only.
	NewVCPU(id int) (VCPU, error)
	// Close frees the VM. All vCPUs must have been closed.
	Close() error
}

// VCPU runs guest code on the thread that made it.
type VCPU interface {
	// Run completes the previous exit, enters the guest and fills exit when it leaves. An error means the vCPU cannot
	// go on; everything a guest can cause is an Exit.
	Run(exit *Exit) error
	// Kick makes the present Run, or else the next one, return ExitKicked soon. Any goroutine; never blocks. Kicks
	// before Run returns may count as one. A kick never loses the exit under way: Run reports that first.
	Kick()
	// Settle finishes a half-done port or MMIO access without running further guest code, so that registers are whole.
	// Call it after the last Run before reading registers. ErrUnsettled means that the access has a further part: the
	// next Run reports it without entering the guest; serve it and settle again. A pending Kick stays pending.
	Settle() error
	Close() error
}

// ErrUnsettled says that a port or MMIO access under way has a further part to be served, see VCPU.Settle.
var ErrUnsettled = errors.New("guest access has a further part")

// ExitKind says why Run returned.
type ExitKind uint8

const (
	ExitNone      ExitKind = iota
	ExitKicked             // Kick, or a signal: run again when ready
	ExitPort               // x86 port access: Addr, Write, Size, Data
	ExitMMIO               // access to an address without RAM: Addr, Write, Data
	ExitHalt               // HLT with no in-kernel interrupt controller
	ExitIOAPICEOI          // end of interrupt for Vector, for the user-space IOAPIC
	ExitReset              // triple fault (shutdown cycle) or a reset request to the hypervisor
	ExitPowerOff           // power-off request to the hypervisor (PSCI)
	ExitFailed             // the hypervisor gave up: Err names why (failed entry, internal error)
)

// exitNames are the names of the kinds, in their order.
var exitNames = [...]string{"none", "kicked", "port", "mmio", "halt", "ioapic-eoi", "reset", "power-off", "failed"}

func (k ExitKind) String() string {
	if int(k) < len(exitNames) {
		return exitNames[k]
	}
	return fmt.Sprintf("exit kind %d", uint8(k))
}

// Exit describes why the guest stopped. It is owned by the caller and filled by Run.
type Exit struct {
	Kind ExitKind
	Addr uint64 // port number, or guest-physical address
	// Size is the width of one port access. Data holds one or more of them: string instructions with REP give several.
	Size  int
	Write bool
	// Data is what the guest wrote, or must be filled by the caller before the next Run with what it reads. It aliases
	// memory of the back end: do not keep it. Of MMIO it has 1 to 8 bytes; lengths other than 1, 2, 4 and 8 are parts
	// of accesses that cross a page or are wider than 8 bytes, whose other parts come as exits of their own.
	Data   []byte
	Vector uint8
	Err    error // ExitFailed only: a *FailedError
}

// FailedError is a vCPU's last word.
type FailedError struct {
	Reason string // "failed entry", "internal error: emulation", ...
	Code   uint64 // the hypervisor's own number
	RIP    uint64
	Bytes  []byte // instruction bytes at RIP where known
}

func (e *FailedError) Error() string {
	if len(e.Bytes) == 0 {
		return fmt.Sprintf("vcpu failed at rip %#x: %s (code %#x)", e.RIP, e.Reason, e.Code)
	}
	return fmt.Sprintf("vcpu failed at rip %#x: %s (code %#x, instruction % x)", e.RIP, e.Reason, e.Code, e.Bytes)
}

// DirtyLog is a VM that knows which pages the guest wrote.
type DirtyLog interface {
	SetDirtyLog(on bool) error
	// Dirty returns one bit a page of region i, bit 0 of word 0 being the first, for the guest's writes since the last
	// call. Pages that the guest only touched may be among them; pages that the host wrote are in the memory's own log.
	Dirty(i int) ([]uint64, error)
}

// PostedWrites is a VM that can let the guest go on after writes to certain registers, and hand these writes over later.
// It suits index registers: what they do is seen only through another register, whose accesses leave the guest.
type PostedWrites interface {
	// PostPort makes guest writes that lie wholly in the n ports from port on posted: they end without an exit where
	// there is room to keep them, and with an ExitPort as ever where there is none. Reads, and writes that lie there only
	// in part, exit. Call it before the first Run. Where the host cannot, the error satisfies errors.Is(err,
	// errors.ErrUnsupported) and all writes exit.
	//
	// Of a string instruction with REP the back end may drop what finds no room in the middle, so post only registers
	// that no driver writes in this way.
	PostPort(port uint16, n int) error
	// PostMMIO is PostPort for the n bytes of guest-physical address space from addr on.
	PostMMIO(addr uint64, n int) error
	// TakePosted calls serve for the posted writes that nobody has taken yet, in the order in which the guest made them,
	// each an ExitPort or ExitMMIO with Write set and one access in Data (ExitFailed: the hypervisor handed over
	// nonsense). Call it on a vCPU's thread after each Run, before the exit is served: when it returns, what this vCPU
	// wrote before its exit has been served, by this call or by another vCPU's.
	//
	// Calls of serve never overlap. serve must not block, keep its argument, or call TakePosted. One TakePosted serves
	// no more than the back end has room for, however fast other vCPUs write.
	TakePosted(serve func(*Exit))
}
