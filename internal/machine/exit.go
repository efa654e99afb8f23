package machine

import "fmt"

// Reason says why a machine ended.
type Reason uint8

const (
	Stopped     Reason = iota + 1 // the host asked
	PowerOff                      // the guest switched itself off
	Reset                         // the guest asked for a reset
	Panic                         // the guest kernel reported a panic
	TripleFault                   // the vCPU shut down: a fault while handling a double fault [SDM vol. 3A §6.15]
	Failed                        // the hypervisor or the machine itself could not go on
)

var reasonNames = [...]string{Stopped: "stopped", PowerOff: "power-off", Reset: "reset", Panic: "kernel panic", TripleFault: "triple fault", Failed: "failed"}

func (r Reason) String() string {
	if int(r) < len(reasonNames) && reasonNames[r] != "" {
		return reasonNames[r]
	}
	return fmt.Sprintf("reason %d", r)
}

// Exit is a machine's end.
type Exit struct {
	Reason Reason
	Err    error // why, for Failed
}
