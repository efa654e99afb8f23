//go:build linux && amd64

package kvm

import (
	"encoding/binary"

	"github.com/husk-vm/husk/internal/hv"
)

// runPage is a vCPU's struct kvm_run, and behind it the data of port accesses [KVM-API §5]. The kernel writes it inside
// KVM_RUN only, on the thread that reads it; immediate_exit alone is shared, see armExit.
type runPage []byte

// Offsets of struct kvm_run and of the members of its union.
const (
	runImmediateExit = 1
	runExitReason    = 8
	runUnion         = 32

	runIODirection = 32 // KVM_EXIT_IO_IN 0, KVM_EXIT_IO_OUT 1
	runIOSize      = 33
	runIOPort      = 34
	runIOCount     = 36
	runIOOffset    = 40 // of the data, from the start of the page

	runMMIOAddr  = 32
	runMMIOData  = 40
	runMMIOLen   = 48
	runMMIOWrite = 52

	runReason    = 32 // hardware's number, of KVM_EXIT_UNKNOWN and KVM_EXIT_FAIL_ENTRY
	runSuberror  = 32
	runNData     = 36 // how many 64-bit words of data follow a suberror or a system event
	runErrFlags  = 40
	runInsnSize  = 48
	runInsnBytes = 49
	runEventType = 32
	runEOIVector = 32

	runPageSize = 2352 // sizeof(struct kvm_run): a run page is never shorter
)

// exitReason says why KVM_RUN returned.
type exitReason uint32

const (
	exitUnknown       exitReason = 0
	exitException     exitReason = 1
	exitIO            exitReason = 2
	exitHLT           exitReason = 5
	exitMMIO          exitReason = 6
	exitShutdown      exitReason = 8
	exitFailEntry     exitReason = 9
	exitIntr          exitReason = 10
	exitInternalError exitReason = 17
	exitSystemEvent   exitReason = 24
	exitIOAPICEOI     exitReason = 26
)

// Types of system events.
const (
	eventShutdown = 1
	eventReset    = 2
	eventCrash    = 3
)

func (p runPage) u32(off int) uint32 { return binary.NativeEndian.Uint32(p[off:]) }
func (p runPage) u64(off int) uint64 { return binary.NativeEndian.Uint64(p[off:]) }
func (p runPage) reason() exitReason { return exitReason(p.u32(runExitReason)) }

// decode fills exit from the page after a KVM_RUN that returned 0. It returns false if the exit is nobody's business:
// enter again. It allocates for failures only.
func (p runPage) decode(exit *hv.Exit) bool {
	*exit = hv.Exit{}
	switch r := p.reason(); r {
	case exitIO:
		p.port(exit)
	case exitMMIO:
		p.mmio(exit)
	case exitHLT:
		exit.Kind = hv.ExitHalt
	case exitShutdown:
		exit.Kind = hv.ExitReset
	case exitIntr:
		return false
	case exitIOAPICEOI:
		exit.Kind, exit.Vector = hv.ExitIOAPICEOI, p[runEOIVector]
	case exitSystemEvent:
		p.systemEvent(exit)
	default:
		p.failure(exit)
	}
	return true
}

// port decodes IN, OUT, and the string instructions, whose REP prefix gives several units at once.
func (p runPage) port(exit *hv.Exit) {
	size, count, off := uint64(p[runIOSize]), uint64(p.u32(runIOCount)), p.u64(runIOOffset)
	n := size * count // at most 255 * 2^32
	if size != 1 && size != 2 && size != 4 || count == 0 || off > uint64(len(p)) || n > uint64(len(p))-off {
		fail(exit, "malformed port exit", n)
		return
	}
	exit.Kind = hv.ExitPort
	exit.Addr = uint64(binary.NativeEndian.Uint16(p[runIOPort:]))
	exit.Size = int(size)
	exit.Write = p[runIODirection] == 1
	exit.Data = p[off : off+n : off+n]
}

func (p runPage) mmio(exit *hv.Exit) {
	n := p.u32(runMMIOLen)
	if n == 0 || n > 8 {
		fail(exit, "malformed mmio exit", uint64(n))
		return
	}
	exit.Kind = hv.ExitMMIO
	exit.Addr = p.u64(runMMIOAddr)
	exit.Size = int(n)
	exit.Write = p[runMMIOWrite] != 0
	exit.Data = p[runMMIOData : runMMIOData+n : runMMIOData+n]
}

func (p runPage) systemEvent(exit *hv.Exit) {
	switch t := p.u32(runEventType); t {
	case eventShutdown:
		exit.Kind = hv.ExitPowerOff
	case eventReset:
		exit.Kind = hv.ExitReset
	case eventCrash:
		fail(exit, "guest crash", uint64(t))
	default:
		fail(exit, "unexpected system event", uint64(t))
	}
}
