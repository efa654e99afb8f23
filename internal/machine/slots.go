package machine

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync/atomic"

	"github.com/husk-vm/husk/virtio"
	"github.com/husk-vm/husk/virtio/blk"
	"github.com/husk-vm/husk/virtio/console"
	"github.com/husk-vm/husk/virtio/entropy"
	"github.com/husk-vm/husk/virtio/vsock"
)

// SlotConfig says what is plugged into a machine.
type SlotConfig struct {
	Console  Console // the virtio console
	Serial   Console // the UART
	Disks    []Disk
	VsockCID uint32
	Log      *slog.Logger
}

// Console is the host's side of a character device; nil means no input, or output thrown away.
type Console struct {
	In  io.Reader
	Out io.Writer
}

// Disk is one block device.
type Disk struct {
	Backend  blk.Backend
	ReadOnly bool
	Serial   string
	Queues   int
}

// Slots are the devices of a machine and their host sides. They outlive a reset: each incarnation of the machine plugs
// them in anew, and a listener on the vsock or a console's reader notices nothing.
type Slots struct {
	console *console.Device
	entropy *entropy.Device
	vsock   *vsock.Device
	disks   []*blk.Device
	serial  io.Writer // the UART's output
	input   *input    // the UART's input

	stage atomic.Uint32
}

// stage is how far the guest has come. The numbers are those of vmm.Stage.
const (
	stageStarted = 1 + iota
	stageOutput
	stageDrivers
	stageVsock
)

// NewSlots makes the devices.
func NewSlots(cfg SlotConfig) (*Slots, error) {
	s := &Slots{}
	s.serial = stageWriter{s, orDiscard(cfg.Serial.Out)}
	var err error
	if s.console, err = console.New(console.Config{
		Ports:  []console.Port{{Console: true, In: cfg.Console.In, Out: stageWriter{s, orDiscard(cfg.Console.Out)}}},
		Logger: cfg.Log,
	}); err != nil {
		return nil, fmt.Errorf("machine: console: %w", err)
	}
	if s.entropy, err = entropy.New(rand.Reader); err != nil {
		return nil, fmt.Errorf("machine: entropy: %w", err)
	}
	if s.vsock, err = vsock.New(vsock.Config{GuestCID: uint64(cfg.VsockCID), Logger: cfg.Log}); err != nil {
		return nil, fmt.Errorf("machine: vsock: %w", err)
	}
	for i, d := range cfg.Disks {
		b, err := blk.New(blk.Config{Backend: d.Backend, ReadOnly: d.ReadOnly, ID: d.Serial, Queues: d.Queues})
		if err != nil {
			return nil, fmt.Errorf("machine: disk %d: %w", i, err)
		}
		s.disks = append(s.disks, b)
	}
	s.input = newInput(cfg.Serial.In) // last: it starts to read
	return s, nil
}

func orDiscard(w io.Writer) io.Writer {
	if w == nil {
		return io.Discard
	}
	return w
}

// devices lists the virtio devices in the order of their PCI slots.
func (s *Slots) devices() []virtio.Device {
	out := []virtio.Device{s.console, s.entropy, s.vsock}
	for _, d := range s.disks {
		out = append(out, d)
	}
	return out
}

// Close ends the host sides. The machine must have been closed.
func (s *Slots) Close() {
	s.input.close()
	s.console.Close()
	s.vsock.Close()
}

// Dial connects to a vsock port of the guest.
func (s *Slots) Dial(ctx context.Context, port uint32) (net.Conn, error) {
	c, err := s.vsock.Dial(ctx, port)
	if err != nil {
		return nil, err // a typed nil must not become an interface
	}
	return c, nil
}

// Listen takes the guest's connections to a vsock port of the host.
func (s *Slots) Listen(port uint32) (net.Listener, error) {
	l, err := s.vsock.Listen(port)
	if err != nil {
		return nil, err
	}
	return vsockListener{l, s}, nil
}

// vsockListener notes the guest's first connection.
type vsockListener struct {
	net.Listener
	slots *Slots
}

func (l vsockListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err == nil {
		l.slots.reach(stageVsock)
	}
	return c, err
}

// ResizeConsole announces the size of the terminal behind the console.
func (s *Slots) ResizeConsole(cols, rows uint16) {
	_ = s.console.Resize(0, cols, rows) // port 0 is there
}

// DiskResized announces that disk i's back end has a new size.
func (s *Slots) DiskResized(i int) error {
	if i < 0 || i >= len(s.disks) {
		return fmt.Errorf("machine: disk %d: %w", i, errNoDisk)
	}
	s.disks[i].Resize()
	return nil
}

var errNoDisk = errors.New("no such disk")

// reach notes that the guest has come to stage n.
func (s *Slots) reach(n uint32) {
	for {
		old := s.stage.Load()
		if old >= n || s.stage.CompareAndSwap(old, n) {
			return
		}
	}
}

// stageWriter notes the first console output.
type stageWriter struct {
	s *Slots
	w io.Writer
}

func (w stageWriter) Write(p []byte) (int, error) {
	if len(p) > 0 {
		w.s.reach(stageOutput)
	}
	return w.w.Write(p)
}

// stagedDevice notes that a driver brought the device to life.
type stagedDevice struct {
	virtio.Device
	slots *Slots
}

func (d stagedDevice) Start(a virtio.Activation) error {
	d.slots.reach(stageDrivers)
	return d.Device.Start(a)
}
