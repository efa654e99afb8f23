//go:build linux && amd64

package kvm

import (
	"fmt"
	"slices"

	"github.com/husk-vm/husk/internal/hv"
)

// exitNames are those exits that Husk never asks for. A kernel that makes one all the same gets it named.
var exitNames = map[exitReason]string{
	exitException: "exception",
	3:             "hypercall",
	4:             "debug",
	7:             "interrupt window",
	11:            "set tpr",
	12:            "tpr access",
	27:            "hyper-v",
	29:            "msr read",
	30:            "msr write",
	31:            "dirty ring full",
	33:            "bus lock",
	34:            "xen",
	37:            "notify",
	39:            "memory fault",
}

// suberrors are the reasons of KVM_EXIT_INTERNAL_ERROR.
var suberrors = map[uint32]string{
	1: "emulation",
	2: "simultaneous exceptions",
	3: "event delivery",
	4: "unexpected exit reason",
}

const suberrorEmulation = 1 // the kernel met an instruction that it cannot emulate

// hasInsnBytes says, in the flags of an emulation failure, that instruction bytes follow.
const hasInsnBytes = 1 << 0

// failure decodes the exits after which a vCPU cannot go on.
func (p runPage) failure(exit *hv.Exit) {
	switch r := p.reason(); r {
	case exitUnknown:
		fail(exit, "unknown exit of the hardware", p.u64(runReason))
	case exitFailEntry:
		fail(exit, "failed entry", p.u64(runReason))
	case exitInternalError:
		sub := p.u32(runSuberror)
		name, ok := suberrors[sub]
		if !ok {
			name = "unknown"
		}
		f := fail(exit, "internal error: "+name, uint64(sub))
		if sub == suberrorEmulation {
			f.Bytes = p.instruction()
		}
	default:
		name, ok := exitNames[r]
		if !ok {
			name = "unknown"
		}
		fail(exit, fmt.Sprintf("unexpected exit: %s", name), uint64(r))
	}
}

// instruction copies the bytes of the instruction that could not be emulated, where the kernel gives them.
func (p runPage) instruction() []byte {
	// ndata counts the words from the flags on: flags, then size and 15 bytes.
	if p.u32(runNData) < 3 || p.u64(runErrFlags)&hasInsnBytes == 0 {
		return nil
	}
	n := min(int(p[runInsnSize]), 15)
	return slices.Clone(p[runInsnBytes : runInsnBytes+n])
}

// fail makes exit an ExitFailed.
func fail(exit *hv.Exit, reason string, code uint64) *hv.FailedError {
	f := &hv.FailedError{Reason: reason, Code: code}
	*exit = hv.Exit{Kind: hv.ExitFailed, Err: f}
	return f
}
