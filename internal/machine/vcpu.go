package machine

import (
	"errors"
	"fmt"
	"runtime"

	"github.com/husk-vm/husk/devices"
	"github.com/husk-vm/husk/internal/hv"
)

// vcpu is one vCPU's thread. Everything but kick belongs to that thread.
type vcpu struct {
	id   int
	m    *Machine
	cpu  hv.X86VCPU // set before ready is signalled, read by kick afterwards
	exit hv.Exit
}

// run is the body of the thread: make the vCPU, report, wait for the start, then enter the guest until the end. The
// goroutine ends with its thread still locked, so that the thread dies and takes its signal state with it.
func (v *vcpu) run(ready chan<- error) {
	runtime.LockOSThread()
	err := v.create()
	ready <- err
	if err != nil {
		return
	}
	defer v.m.vcpuLeft()
	defer v.cpu.Close()
	if !v.m.ctl.park() {
		return
	}
	for {
		if v.m.ctl.at() != phaseRunning {
			if !v.settle() || !v.m.ctl.park() {
				return
			}
		}
		if !v.step() {
			return
		}
	}
}

// step enters the guest once and does what it left for.
func (v *vcpu) step() bool {
	if err := v.cpu.Run(&v.exit); err != nil {
		v.m.finish(Exit{Reason: Failed, Err: fmt.Errorf("machine: run vcpu %d: %w", v.id, err)})
		return false
	}
	v.m.takePosted()
	v.handle()
	return true
}

// settle finishes the access under way, so that registers are whole while the vCPU is parked. An access has few parts:
// those of one instruction that crosses a page.
func (v *vcpu) settle() bool {
	for {
		err := v.cpu.Settle()
		switch {
		case err == nil:
			return true
		case !errors.Is(err, hv.ErrUnsettled):
			v.m.finish(Exit{Reason: Failed, Err: fmt.Errorf("machine: settle vcpu %d: %w", v.id, err)})
			return false
		case !v.step():
			return false
		}
	}
}

// create makes the vCPU and puts it into the state the boot protocol asks for. Only vCPU 0 starts by itself; the others
// wait for the guest's INIT and start-up IPIs.
func (v *vcpu) create() error {
	c, err := v.m.vm.NewVCPU(v.id)
	if err != nil {
		return err
	}
	x, ok := c.(hv.X86VCPU)
	if !ok {
		c.Close()
		return fmt.Errorf("machine: vcpu %d: back end %s offers no x86 vCPUs", v.id, v.m.backend.Name())
	}
	// CPUID comes first: hypervisors check MSRs against it.
	err = x.SetCPUID(guestCPUID(v.m.cpuid, v.id, v.m.cpus))
	if err == nil {
		err = x.SetMSRs(bootMSRs())
	}
	if err == nil && v.id == 0 {
		err = setBootRegs(x, v.m.entry)
	}
	if err != nil {
		x.Close()
		return fmt.Errorf("machine: set up vcpu %d: %w", v.id, err)
	}
	v.cpu = x
	return nil
}

// handle does what the guest left for.
func (v *vcpu) handle() {
	e := &v.exit
	v.m.exits[e.Kind].Add(1)
	switch e.Kind {
	case hv.ExitNone, hv.ExitKicked:
	case hv.ExitPort:
		access(&v.m.ports, e)
	case hv.ExitMMIO:
		access(&v.m.mmio, e)
	case hv.ExitIOAPICEOI:
		v.m.ioapic.EOI(e.Vector)
	case hv.ExitReset:
		v.m.finish(Exit{Reason: TripleFault})
	case hv.ExitPowerOff:
		v.m.finish(Exit{Reason: PowerOff})
	case hv.ExitFailed:
		v.m.finish(Exit{Reason: Failed, Err: fmt.Errorf("machine: vcpu %d: %w", v.id, e.Err)})
	default:
		v.m.finish(Exit{Reason: Failed, Err: fmt.Errorf("machine: vcpu %d: unexpected exit %d", v.id, e.Kind)})
	}
}

// access replays an exit on a bus. String port instructions carry several elements of Size bytes for one port
// [SDM vol. 2A INS]; memory accesses carry one.
func access(bus *devices.Bus, e *hv.Exit) {
	size := len(e.Data)
	if e.Kind == hv.ExitPort && e.Size > 0 {
		size = e.Size
	}
	for p := e.Data; len(p) >= size && size > 0; p = p[size:] {
		if e.Write {
			bus.Write(e.Addr, p[:size])
		} else {
			bus.Read(e.Addr, p[:size])
		}
	}
}
