package vmm

import (
	"fmt"

	"github.com/husk-vm/husk/internal/machine"
)

// Reason says why a VM ended.
type Reason uint8

const (
	Closed      Reason = iota + 1 // the host ended it: Close or Kill
	Shutdown                      // the guest powered off
	Reset                         // the guest rebooted, and Config.Reboot is RebootEnds
	Panic                         // the guest kernel panicked
	TripleFault                   // the guest crashed the CPU: no kernel survives to report
	Failed                        // the hypervisor or the VMM could not go on
)

var reasonNames = [...]string{Closed: "closed", Shutdown: "shutdown", Reset: "reset", Panic: "kernel panic", TripleFault: "triple fault", Failed: "failed"}

func (r Reason) String() string {
	if int(r) < len(reasonNames) && reasonNames[r] != "" {
		return reasonNames[r]
	}
	return fmt.Sprintf("reason %d", uint8(r))
}

// Exit is how a VM ended.
type Exit struct {
	Reason Reason
	// Err says more for Failed; nil otherwise.
	Err error
}

func exitOf(e machine.Exit) Exit {
	reasons := [...]Reason{machine.Stopped: Closed, machine.PowerOff: Shutdown, machine.Reset: Reset, machine.Panic: Panic, machine.TripleFault: TripleFault, machine.Failed: Failed}
	return Exit{Reason: reasons[e.Reason], Err: e.Err}
}
