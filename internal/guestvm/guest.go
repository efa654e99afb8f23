package guestvm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"github.com/husk-vm/husk/guest/client"
	"github.com/husk-vm/husk/guest/initramfs"
	"github.com/husk-vm/husk/guest/kernel"
	"github.com/husk-vm/husk/vmm"
)

// DefaultReadyTimeout is how long a guest may take until its agent answers: far more than any boot, even on a loaded host.
const DefaultReadyTimeout = 2 * time.Minute

// Config is a VM and what to do with it.
type Config struct {
	// VM is the machine. Boot, Serial, Console may be left empty: the built-in guest fills them in.
	VM vmm.Config
	// Kernel and Initrd replace the built-in ones; NoInitrd boots without any. Cmdline replaces the built-in line.
	Kernel, Initrd vmm.Source
	NoInitrd       bool
	Cmdline        string
	// Verbose makes the built-in kernel print what it does.
	Verbose bool
	// ConsoleIn and ConsoleOut are the serial console's, beside what is remembered of it. nil: none.
	ConsoleIn  io.Reader
	ConsoleOut io.Writer
	// Progress hears what is going on. nil: nobody wants to know.
	Progress func(string)
}

// Guest is a VM with an agent.
type Guest struct {
	*vmm.VM
	Agent   *client.Client
	console *Transcript
	ready   net.Listener
}

// New builds the VM. Nothing runs until Start.
func New(ctx context.Context, cfg Config) (*Guest, error) {
	progress := cfg.Progress
	if progress == nil {
		progress = func(string) {}
	}
	lin := vmm.Linux{Kernel: cfg.Kernel, Initrd: cfg.Initrd, Cmdline: cfg.Cmdline}
	if lin.Kernel == nil {
		lin.Kernel = kernel.Image()
	}
	if lin.Initrd == nil && !cfg.NoInitrd {
		progress("preparing the guest's programs")
		image, err := (&initramfs.Loader{Arch: kernel.GOARCH, Progress: os.Stderr}).Load(ctx)
		if err != nil {
			return nil, err
		}
		lin.Initrd = image
	}
	if lin.Cmdline == "" {
		lin.Cmdline = cmdline(cfg)
	}
	g := &Guest{console: NewTranscript(cfg.ConsoleOut)}
	v := cfg.VM
	v.Boot = lin
	v.Serial = vmm.Console{In: cfg.ConsoleIn, Out: g.console}
	progress("loading the kernel")
	vm, err := vmm.New(v)
	if err != nil {
		return nil, err
	}
	g.VM = vm
	if g.ready, err = vm.Listen(client.ReadyPort); err != nil {
		vm.Close()
		return nil, err
	}
	g.Agent = client.New(func(ctx context.Context, port uint32) (net.Conn, error) { return vm.Dial(ctx, port) })
	return g, nil
}

// cmdline is what the built-in guest, or a kernel given without a line of its own, is booted with. The console is the
// serial port, because it works from the first instruction; every byte on it costs an exit, hence quiet. A panic ends
// the VM by itself; panic=-1 is for kernels without the panic device. The reset goes through ACPI.
func cmdline(cfg Config) string {
	words := []string{"console=ttyS0", "panic=-1"}
	if !cfg.Verbose {
		words = append(words, "quiet")
	}
	return strings.Join(words, " ")
}

// Ready waits until the agent answers. The VM must have been started. An error explains how far the guest came and
// shows its last words.
func (g *Guest) Ready(ctx context.Context, timeout time.Duration) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var limit <-chan time.Time
	if timeout > 0 {
		t := time.NewTimer(timeout)
		defer t.Stop()
		limit = t.C
	}
	answered := make(chan error, 1)
	go func() { answered <- g.Agent.WaitReady(ctx, g.ready) }()
	select {
	case err := <-answered:
		if err != nil && context.Cause(ctx) == nil {
			return g.Explain(fmt.Errorf("the guest's agent: %w", err))
		}
		return err
	case <-g.Done():
		cancel(ErrEnded)
		<-answered
		return g.Ended()
	case <-limit:
		stage := g.Stage()
		cancel(ErrNoAnswer)
		<-answered
		return g.Explain(fmt.Errorf("%w within %v; it reached: %v", ErrNoAnswer, timeout, stage))
	}
}

// Errors of guests that fail.
var (
	ErrNoAnswer = errors.New("the guest did not answer")
	ErrEnded    = errors.New("the guest ended")
)

// Ended describes the end of a guest that was expected to live on. The VM must have ended.
func (g *Guest) Ended() error {
	exit, _ := g.Wait(context.Background())
	err := fmt.Errorf("%w: %v", ErrEnded, exit.Reason)
	if exit.Err != nil {
		err = fmt.Errorf("%w: %w", err, exit.Err)
	}
	return g.Explain(err)
}

// explainLines is how much of the console an error message shows.
const explainLines = 15

// Explain adds the last console lines to an error.
func (g *Guest) Explain(err error) error {
	lines := g.console.Tail(explainLines)
	if len(lines) == 0 {
		return fmt.Errorf("%w (its console is silent)", err)
	}
	return fmt.Errorf("%w; the last lines on its console:\n  | %s", err, strings.Join(lines, "\n  | "))
}

// Console returns the end of what the guest wrote to its console, printable.
func (g *Guest) Console() []string { return g.console.Tail(transcriptSize) }

// Close ends the VM and everything around it.
func (g *Guest) Close() error {
	err := g.VM.Close()
	g.Agent.Close()
	g.ready.Close()
	return err
}
