package vmm

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"

	"github.com/husk-vm/husk/internal/hv"
	"github.com/husk-vm/husk/internal/machine"
)

// Errors of calls that come at the wrong time.
var (
	ErrStarted    = errors.New("already started")
	ErrNotRunning = errors.New("not running")
)

// VM is a virtual machine. All methods may be called from any goroutine.
type VM struct {
	cfg     Config
	linux   Linux
	backend hv.Backend
	slots   *machine.Slots // the devices; they outlive a reset

	mu      sync.Mutex
	machine *machine.Machine // guarded by mu: the present incarnation
	started bool             // guarded by mu
	closing bool             // guarded by mu

	exit Exit          // set before done is closed
	done chan struct{} // closed when the VM ended for good
	wg   sync.WaitGroup
}

// New builds a VM: it checks the configuration, chooses a back end, reserves memory, and loads the kernel. Nothing runs
// until Start. A VM must be closed, started or not.
//
// Errors wrap ErrConfig for what the caller can mend in cfg, ErrNoBackend where this host cannot run guests; what is
// wrong with a kernel or an initrd is said in the text.
func New(cfg Config) (*VM, error) {
	cfg, lin, err := cfg.resolved()
	if err != nil {
		return nil, err
	}
	backend, err := choose(context.Background(), cfg.Backend)
	if err != nil {
		return nil, err
	}
	vm := &VM{cfg: cfg, linux: lin, backend: backend, done: make(chan struct{})}
	if vm.slots, err = machine.NewSlots(vm.slotConfig()); err != nil {
		return nil, fmt.Errorf("vmm: %w", err)
	}
	if vm.machine, err = machine.New(vm.machineConfig(), vm.slots); err != nil {
		vm.slots.Close()
		if errors.Is(err, machine.ErrConfig) {
			err = configError{err}
		}
		return nil, fmt.Errorf("vmm: %w", err)
	}
	return vm, nil
}

func (vm *VM) slotConfig() machine.SlotConfig {
	cfg := machine.SlotConfig{
		Console:  machine.Console(vm.cfg.Console),
		Serial:   machine.Console(vm.cfg.Serial),
		VsockCID: vm.cfg.VsockCID,
		Log:      vm.cfg.Log,
	}
	for _, d := range vm.cfg.Disks {
		cfg.Disks = append(cfg.Disks, machine.Disk{Backend: d.Backend, ReadOnly: d.ReadOnly, Serial: d.Serial, Queues: d.Queues})
	}
	return cfg
}

func (vm *VM) machineConfig() machine.Config {
	cfg := machine.Config{
		Backend: vm.backend, CPUs: vm.cfg.CPUs, MemoryBytes: vm.cfg.MemoryBytes,
		Kernel: vm.linux.Kernel, Initrd: vm.linux.Initrd, Cmdline: vm.linux.Cmdline,
		Entry: machine.Entry(vm.linux.Entry),
		Name:  vm.cfg.Name, SMBIOSStrings: vm.cfg.SMBIOSStrings,
		Log: vm.cfg.Log,
	}
	return cfg
}

// Backend returns the name of the back end that runs this VM.
func (vm *VM) Backend() string { return vm.backend.Name() }

// Start lets the first vCPU run. ctx bounds the start only, not the VM's life.
func (vm *VM) Start(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("vmm: start: %w", err)
	}
	vm.mu.Lock()
	defer vm.mu.Unlock()
	if vm.closing {
		return fmt.Errorf("vmm: start: %w", net.ErrClosed)
	}
	if vm.started {
		return fmt.Errorf("vmm: start: %w", ErrStarted)
	}
	vm.started = true
	if err := vm.machine.Start(); err != nil {
		return fmt.Errorf("vmm: start: %w", err)
	}
	vm.wg.Go(vm.supervise)
	return nil
}

// supervise waits for the machine's end and, where the policy says so, puts a fresh one in its place.
func (vm *VM) supervise() {
	for {
		vm.mu.Lock()
		m := vm.machine
		vm.mu.Unlock()
		e, _ := m.Wait(context.Background())
		m.Close()
		if e.Reason == machine.Reset && vm.cfg.Reboot == RebootRestarts {
			err := vm.restart()
			if err == nil {
				continue
			}
			if !errors.Is(err, net.ErrClosed) {
				e = machine.Exit{Reason: machine.Failed, Err: fmt.Errorf("reboot: %w", err)}
			}
		}
		vm.exit = exitOf(e)
		vm.slots.Close()
		close(vm.done)
		return
	}
}

func (vm *VM) restart() error {
	vm.cfg.Log.Info("guest rebooted: starting the machine again")
	vm.mu.Lock()
	defer vm.mu.Unlock()
	if vm.closing {
		return net.ErrClosed
	}
	m, err := machine.New(vm.machineConfig(), vm.slots)
	if err != nil {
		return err
	}
	vm.machine = m
	return m.Start()
}

// Wait returns how the VM ended, once it has; or ctx's error.
func (vm *VM) Wait(ctx context.Context) (Exit, error) {
	select {
	case <-vm.done:
		return vm.exit, nil
	case <-ctx.Done():
		return Exit{}, ctx.Err()
	}
}

// Done is closed when the VM has ended.
func (vm *VM) Done() <-chan struct{} { return vm.done }

// Pause stops all vCPUs and devices. When it returns, guest memory and the back ends are at rest. Pausing a paused VM
// is no error.
func (vm *VM) Pause(ctx context.Context) error {
	return vm.running("pause", func(m *machine.Machine) error { return m.Pause(ctx) })
}

// Resume continues after Pause. The guest's clock went on meanwhile.
func (vm *VM) Resume(context.Context) error {
	return vm.running("resume", (*machine.Machine).Resume)
}

// PowerButton presses the ACPI power button. What follows is up to the guest: most shut down.
func (vm *VM) PowerButton() error {
	return vm.running("power button", func(m *machine.Machine) error { m.PowerButton(); return nil })
}

// running runs fn on the machine if it was started and has not ended.
func (vm *VM) running(op string, fn func(*machine.Machine) error) error {
	vm.mu.Lock()
	m, ok := vm.machine, vm.started && !vm.closing
	vm.mu.Unlock()
	if !ok {
		return fmt.Errorf("vmm: %s: %w", op, ErrNotRunning)
	}
	if err := fn(m); err != nil {
		if errors.Is(err, machine.ErrEnded) {
			err = ErrNotRunning
		}
		return fmt.Errorf("vmm: %s: %w", op, err)
	}
	return nil
}

// Close ends the VM at once, as pulling the plug would, and frees everything it holds. It returns when all of that is
// done; a disk request under way is waited for. Close may be called twice and does not close the back ends of Config.
func (vm *VM) Close() error {
	vm.mu.Lock()
	first, started, m := !vm.closing, vm.started, vm.machine
	vm.closing = true
	vm.mu.Unlock()
	if !started {
		if first {
			m.Close()
			vm.slots.Close()
			vm.exit = Exit{Reason: Closed}
			close(vm.done)
		}
		<-vm.done
		return nil
	}
	m.Stop()
	vm.wg.Wait()
	return nil
}

// Dial connects to a vsock port of the guest. It waits until the guest accepts or refuses, or ctx is done; a guest that
// has no vsock driver yet, or none at all, is waited for.
func (vm *VM) Dial(ctx context.Context, port uint32) (net.Conn, error) {
	return vm.slots.Dial(ctx, port)
}

// Listen takes the guest's connections to a vsock port of the host (CID 2). It may be called before Start, and the
// listener survives a reboot.
func (vm *VM) Listen(port uint32) (net.Listener, error) { return vm.slots.Listen(port) }

// ResizeConsole tells the guest the size of the terminal behind Config.Console, in characters.
func (vm *VM) ResizeConsole(cols, rows uint16) { vm.slots.ResizeConsole(cols, rows) }

// DiskResized tells the guest that the back end of disk i has a new size.
func (vm *VM) DiskResized(i int) error { return vm.slots.DiskResized(i) }

// Stage is how far a guest has come; for messages about guests that never answer.
type Stage uint8

const (
	StageBuilt   Stage = iota // not started
	StageStarted              // the vCPU runs, nothing was heard yet
	StageOutput               // the guest wrote to a console
	StageDrivers              // a virtio driver is at work
	StageVsock                // a guest program connected to the host
)

var stageNames = [...]string{"not started", "started, no sign of life", "console output", "device drivers at work", "user space speaking to the host"}

func (s Stage) String() string {
	if int(s) < len(stageNames) {
		return stageNames[s]
	}
	return fmt.Sprintf("stage %d", uint8(s))
}

// Stage returns the furthest stage reached since the last start or reset.
func (vm *VM) Stage() Stage {
	vm.mu.Lock()
	defer vm.mu.Unlock()
	return Stage(vm.machine.Stage())
}

// Stats are counters since the start, and since the last reset for those of vCPUs.
type Stats = machine.Stats

// Stats returns the counters as they are now.
func (vm *VM) Stats() Stats {
	vm.mu.Lock()
	defer vm.mu.Unlock()
	return vm.machine.Stats()
}
