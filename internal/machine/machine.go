package machine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/husk-vm/husk/devices"
	"github.com/husk-vm/husk/devices/irqchip"
	"github.com/husk-vm/husk/firmware/linux"
	"github.com/husk-vm/husk/internal/guestmem"
	"github.com/husk-vm/husk/internal/hv"
)

// Errors that callers test for.
var (
	// ErrConfig marks what the caller of New can mend in Config.
	ErrConfig = errors.New("machine configuration")
	// ErrEnded is the answer to calls on a machine that has ended.
	ErrEnded = errors.New("machine has ended")
)

// configError marks an error as ErrConfig without changing its text.
type configError struct{ error }

func (e configError) Unwrap() error        { return e.error }
func (e configError) Is(target error) bool { return target == ErrConfig }

func badConfig(err error) error { return configError{err} }

// Entry chooses a kernel's entry point.
type Entry = linux.Preference

// Config is a machine, fully resolved.
type Config struct {
	Backend       hv.Backend
	CPUs          int
	MemoryBytes   uint64
	Kernel        linux.Source
	Initrd        linux.Source // nil for none
	Cmdline       string
	Entry         Entry
	Name          string   // product name in SMBIOS
	SMBIOSStrings []string // OEM strings
	Log           *slog.Logger
}

// Machine is one incarnation of a PC, from power-on to power-off or reset. All methods may be called from any goroutine.
type Machine struct {
	backend hv.Backend
	log     *slog.Logger
	cpus    int
	cpuid   []hv.CPUIDEntry
	entry   linux.Entry

	mem    *guestmem.Memory
	vm     hv.VM
	ports  devices.Bus
	mmio   devices.Bus
	ioapic *irqchip.IOAPIC
	pc     *pc
	slots  *Slots

	ctl    *control
	vcpus  []*vcpu
	posted posted
	exits  [hv.ExitFailed + 1]atomic.Uint64
	kicks  atomic.Uint64

	postedWrites atomic.Uint64

	ops    sync.Mutex // serialises Pause, Resume and Close
	paused bool       // guarded by ops
	closed bool       // guarded by ops
}

// New builds a machine around slots and loads the kernel. Its vCPU threads exist and wait for Start. It must be closed.
func New(cfg Config, slots *Slots) (_ *Machine, err error) {
	if err := checkSizes(cfg.CPUs, cfg.MemoryBytes); err != nil {
		return nil, badConfig(err)
	}
	if err := guestmem.CheckHost(cfg.MemoryBytes); err != nil {
		return nil, badConfig(err)
	}
	x86, ok := cfg.Backend.(hv.X86Backend)
	if !ok {
		return nil, fmt.Errorf("machine: back end %s: x86 guests: %w", cfg.Backend.Name(), errors.ErrUnsupported)
	}
	kernel, err := linux.Parse(cfg.Kernel)
	if err != nil {
		return nil, badConfig(err)
	}
	m := &Machine{backend: cfg.Backend, log: cfg.Log, cpus: cfg.CPUs, slots: slots, ctl: newControl(cfg.CPUs)}
	defer func() {
		if err != nil {
			m.release()
		}
	}()
	if m.cpuid, err = x86.SupportedCPUID(); err != nil {
		return nil, err
	}
	if m.mem, err = guestmem.New(ramRegions(cfg.MemoryBytes)); err != nil {
		return nil, fmt.Errorf("machine: %w", err)
	}
	if m.vm, err = cfg.Backend.NewVM(m.mem, hv.Config{CPUs: cfg.CPUs}); err != nil {
		return nil, err
	}
	if err := m.loadGuest(cfg, kernel); err != nil {
		return nil, err
	}
	if err := m.wire(slots); err != nil {
		return nil, err
	}
	if err := m.postWrites(); err != nil {
		return nil, err
	}
	return m, m.startThreads()
}

// startThreads makes the vCPUs, each on its own thread. Where one fails the others are sent home.
func (m *Machine) startThreads() error {
	ready := make(chan error)
	var failed error
	for id := range m.cpus {
		v := &vcpu{id: id, m: m}
		go v.run(ready)
		if err := <-ready; err != nil {
			failed = err
			break
		}
		m.vcpus = append(m.vcpus, v)
	}
	if failed == nil {
		return nil
	}
	m.ctl.end(Exit{Reason: Failed, Err: failed})
	for range m.cpus - len(m.vcpus) { // those that never were
		m.vcpuLeft()
	}
	<-m.ctl.done
	return failed
}

// Start lets the first vCPU run.
func (m *Machine) Start() error {
	m.slots.stage.Store(stageStarted)
	if !m.ctl.set(phaseBuilt, phaseRunning) {
		return ErrEnded
	}
	return nil
}

// finish begins the machine's end; the first call's exit counts. It is called from vCPU threads, device workers and the
// host alike, so it does not wait: vCPUs leave the guest, and the last one completes the end.
func (m *Machine) finish(e Exit) {
	if m.ctl.end(e) {
		m.log.Debug("machine ends", "reason", e.Reason.String(), "err", e.Err)
		m.kickAll()
	}
}

func (m *Machine) kickAll() {
	for _, v := range m.vcpus {
		m.kicks.Add(1)
		v.cpu.Kick()
	}
}

func (m *Machine) vcpuLeft() {
	if m.ctl.left() {
		close(m.ctl.done)
	}
}

// Wait returns how the machine ended, once all its vCPUs have stopped; or ctx's error.
func (m *Machine) Wait(ctx context.Context) (Exit, error) { return m.ctl.wait(ctx) }

// Stop pulls the plug. Close follows when all vCPUs have stopped.
func (m *Machine) Stop() { m.finish(Exit{Reason: Stopped}) }

// Close ends the machine, waits for it and frees everything but the slots.
func (m *Machine) Close() {
	m.Stop()
	<-m.ctl.done
	m.ops.Lock()
	defer m.ops.Unlock()
	if !m.closed {
		m.closed = true
		m.release()
	}
}

// release frees in reverse order of New. It is also New's way out, so each part may be missing.
func (m *Machine) release() {
	if m.pc != nil {
		m.pc.close(m.slots)
	}
	if m.vm != nil {
		if err := m.vm.Close(); err != nil {
			m.log.Warn("close hypervisor's vm", "err", err)
		}
	}
	if m.mem != nil {
		if err := m.mem.Close(); err != nil {
			m.log.Warn("close guest memory", "err", err)
		}
	}
}

// Pause brings vCPUs, then devices to rest. Afterwards guest memory does not change. A paused machine stays paused.
func (m *Machine) Pause(ctx context.Context) error {
	m.ops.Lock()
	defer m.ops.Unlock()
	if m.paused {
		return nil
	}
	if !m.ctl.set(phaseRunning, phasePaused) {
		return ErrEnded
	}
	m.kickAll()
	if !m.ctl.allParked() {
		return ErrEnded
	}
	if err := m.pc.pause(ctx); err != nil {
		m.ctl.set(phasePaused, phaseRunning)
		return err
	}
	if c, ok := m.vm.(hv.X86Clock); ok {
		if err := c.PauseClock(); err != nil {
			m.log.Warn("pause guest clock", "err", err)
		}
	}
	m.paused = true
	return nil
}

// Resume undoes Pause, in reverse order.
func (m *Machine) Resume() error {
	m.ops.Lock()
	defer m.ops.Unlock()
	if m.ctl.at() == phaseEnding {
		return ErrEnded
	}
	if !m.paused {
		return nil
	}
	if c, ok := m.vm.(hv.X86Clock); ok {
		if err := c.ResumeClock(); err != nil {
			m.log.Warn("resume guest clock", "err", err)
		}
	}
	m.pc.resume()
	m.paused = false
	if !m.ctl.set(phasePaused, phaseRunning) {
		return ErrEnded
	}
	return nil
}

// PowerButton presses the ACPI power button.
func (m *Machine) PowerButton() { m.pc.power.PressPower() }

// Stats are counters since the machine was built.
type Stats struct {
	PortExits uint64 // port accesses that left the guest
	MMIOExits uint64 // memory-mapped register accesses that left the guest
	EOIExits  uint64 // ends of level-triggered interrupts
	Kicks     uint64 // times the host made a vCPU leave the guest
	Exits     uint64 // all of them
	// PostedWrites are register writes that did not leave the guest and were handed over later: they are no exits.
	PostedWrites uint64
}

// Stats returns the counters.
func (m *Machine) Stats() Stats {
	s := Stats{
		PortExits: m.exits[hv.ExitPort].Load(), MMIOExits: m.exits[hv.ExitMMIO].Load(),
		EOIExits: m.exits[hv.ExitIOAPICEOI].Load(), Kicks: m.kicks.Load(), PostedWrites: m.postedWrites.Load(),
	}
	for i := range m.exits {
		s.Exits += m.exits[i].Load()
	}
	return s
}

// Stage is how far the guest has come, as vmm.Stage counts.
func (m *Machine) Stage() uint8 { return uint8(m.slots.stage.Load()) }
