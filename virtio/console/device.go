package console

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"

	"github.com/husk-vm/husk/virtio"
)

// Limits of a Config.
const (
	MaxPorts = 16 // each takes two queues, and with them interrupt vectors and goroutines
	MaxName  = 63 // bytes; Linux makes a file name of it
)

// The sizes of the queues. Linux gives a page for each receive buffer.
const (
	portQueueSize    = 64
	controlQueueSize = 32
)

// Port describes one port.
type Port struct {
	// Name makes the port appear as /dev/virtio-ports/NAME in a Linux guest with udev: up to MaxName letters, digits, dots,
	// dashes and underscores. It may be empty.
	Name string
	// Console makes the port a console: hvcN in Linux, in the order of the ports.
	Console bool
	// In is what the guest reads; nil means nothing, ever. It is read only while the guest has the port open, and may
	// block for ever: see Device.Close. When it ends, a port that is no console and has no Out tells the guest, whose
	// reader then sees the end of file; other ports stay open.
	In io.Reader
	// Out gets what the guest writes; nil means that it is thrown away. While a Write blocks, this port's output waits, in
	// the guest once the buffer is full. After an error all further output is thrown away and counted. Note that Go
	// ends a process that writes to a closed pipe on descriptors 1 and 2, unless os/signal catches SIGPIPE.
	Out io.Writer
}

// Config describes a device.
type Config struct {
	// Ports are the ports, 1 to MaxPorts. Without VIRTIO_CONSOLE_F_MULTIPORT in the driver only the first works.
	Ports []Port
	// Logger gets a line when the driver comes or goes, or a writer fails; nil means no log.
	Logger *slog.Logger
}

// Device is a virtio console device. Its methods may be called from any goroutine; those of virtio.Device as that
// interface says.
type Device struct {
	log   *slog.Logger
	multi bool // MULTIPORT is offered
	ports []*port
	ctl   ctl

	workers virtio.Workers

	mu      sync.Mutex
	started bool   // guarded by mu
	closed  bool   // guarded by mu
	changed func() // guarded by mu; tells the driver that the size changed, nil unless that is where it looks
}

// port is a live port. Its parts lock for themselves.
type port struct {
	id   int
	name string
	cons bool
	in   input
	out  output
}

var _ virtio.Device = (*Device)(nil)

// New makes a device. It reads and writes nothing.
func New(cfg Config) (*Device, error) {
	if len(cfg.Ports) == 0 || len(cfg.Ports) > MaxPorts {
		return nil, fmt.Errorf("console: %d ports: not in 1 to %d", len(cfg.Ports), MaxPorts)
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	first := cfg.Ports[0]
	d := &Device{log: cfg.Logger, multi: len(cfg.Ports) > 1 || first.Name != "" || !first.Console}
	names := map[string]bool{}
	for i, p := range cfg.Ports {
		if err := checkName(p.Name); err != nil {
			return nil, fmt.Errorf("console: port %d: %w", i, err)
		}
		if p.Name != "" && names[p.Name] {
			return nil, fmt.Errorf("console: port %d: name %q is taken", i, p.Name)
		}
		names[p.Name] = true
		d.ports = append(d.ports, d.newPort(i, p))
	}
	d.ctl.init(d.ports)
	return d, nil
}

func (d *Device) newPort(i int, cfg Port) *port {
	p := &port{id: i, name: cfg.Name, cons: cfg.Console}
	hangUp := func() {}
	if !cfg.Console && cfg.Out == nil {
		hangUp = func() { d.ctl.hangUp(i) }
	}
	p.in.init(cfg.In, hangUp)
	p.out.init(cfg.Out, func(err error) {
		d.log.Warn("console: output fails, the rest is thrown away", "port", i, "name", p.name, "err", err)
	})
	return p
}

// checkName accepts what is a file name everywhere and needs no quoting in udev rules.
func checkName(name string) error {
	if len(name) > MaxName {
		return fmt.Errorf("name of %d bytes: more than %d", len(name), MaxName)
	}
	for _, c := range []byte(name) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '.', c == '-', c == '_':
		default:
			return fmt.Errorf("name %q: %q is not allowed", name, c)
		}
	}
	if name == "." || name == ".." {
		return fmt.Errorf("name %q is not allowed", name)
	}
	return nil
}

// Type returns virtio.TypeConsole.
func (d *Device) Type() virtio.DeviceType { return virtio.TypeConsole }

// Features returns SIZE, EMERG_WRITE and, unless there is but one nameless console, MULTIPORT [VIRTIO §5.3.3].
func (d *Device) Features() virtio.Features {
	if d.multi {
		return featSize | featEmergWrite | featMultiport
	}
	return featSize | featEmergWrite
}

// QueueSizes returns the sizes in the spec's order: port 0's receive and transmit queue, the control queues, the other
// ports' [VIRTIO §5.3.2].
func (d *Device) QueueSizes() []uint16 {
	sizes := []uint16{portQueueSize, portQueueSize}
	if d.multi {
		sizes = append(sizes, controlQueueSize, controlQueueSize)
	}
	for range d.ports[1:] {
		sizes = append(sizes, portQueueSize, portQueueSize)
	}
	return sizes
}

// The control queues [VIRTIO §5.3.2], named from the driver's side as all queues are.
const (
	queueControlRx = 2
	queueControlTx = 3
)

// queues returns the numbers of p's queues.
func (p *port) queues() (rx, tx int) {
	if p.id == 0 {
		return 0, 1
	}
	return 2 + 2*p.id, 3 + 2*p.id
}

// ReadConfig reads struct virtio_console_config [VIRTIO §5.3.4]. The size is that of port 0.
func (d *Device) ReadConfig(off uint32, p []byte) {
	var space [configSize]byte
	cols, rows := d.ctl.size(0)
	binary.LittleEndian.PutUint16(space[0:], cols)
	binary.LittleEndian.PutUint16(space[2:], rows)
	binary.LittleEndian.PutUint32(space[4:], uint32(len(d.ports)))
	clear(p)
	if off < configSize {
		copy(p, space[off:])
	}
}

// WriteConfig takes emergency output: the low byte of a store to emerg_wr is written to port 0's Out, if there is room in
// the buffer [VIRTIO §5.3.4].
func (d *Device) WriteConfig(off uint32, p []byte) {
	if off != emergWriteAt || len(p) == 0 {
		return
	}
	out := &d.ports[0].out
	if out.offer(p[:1]) == 0 {
		out.lost.Add(1)
	}
}

// Start begins to move bytes.
func (d *Device) Start(a virtio.Activation) error {
	multi := a.Features.Has(featMultiport)
	if err := checkQueues(a.Queues, multi); err != nil {
		return err
	}
	d.mu.Lock()
	if d.closed {
		d.mu.Unlock()
		return fmt.Errorf("console: start: %w", net.ErrClosed)
	}
	d.started = true
	if !multi && a.Features.Has(featSize) {
		d.changed = a.ConfigChanged
	}
	d.mu.Unlock()

	fail := func(err error) {
		d.log.Warn("console: driver misbehaves", "err", err)
		a.Fail(err)
	}
	d.ctl.start()
	for _, p := range d.ports {
		rx, tx := p.queues()
		if !multi && p.id > 0 || a.Queues[rx] == nil || a.Queues[tx] == nil {
			continue // a driver may leave a port alone
		}
		p.in.start()
		p.out.start()
		d.workers.Go(a.Queues[rx], fail, func(q *virtio.Queue) { p.in.work(q, fail) })
		d.workers.Go(a.Queues[tx], fail, func(q *virtio.Queue) { p.out.work(q, fail) })
	}
	d.ctl.resume()
	if multi {
		d.workers.Go(a.Queues[queueControlRx], fail, func(q *virtio.Queue) { d.ctl.send(q, fail) })
		d.workers.Go(a.Queues[queueControlTx], fail, func(q *virtio.Queue) { d.ctl.receive(q, fail) })
	} else {
		d.ports[0].in.setOpen(true)
		if cols, rows := d.ctl.size(0); cols != 0 || rows != 0 {
			d.sizeChanged() // Linux reads the size when it hears of a change, and not before
		}
	}
	d.log.Info("console: driver ready", "ports", len(d.ports), "multiport", multi)
	return nil
}

// checkQueues wants the queues without which nothing works.
func checkQueues(queues []*virtio.Queue, multi bool) error {
	needed := 2
	if multi {
		needed = 4
	}
	for i := range needed {
		if i >= len(queues) || queues[i] == nil {
			return fmt.Errorf("console: start: driver left queue %d disabled", i)
		}
	}
	return nil
}

// Stop ends the work on the queues. Bytes that were read from In stay for the next driver, bytes that the guest sent are
// still written to Out.
func (d *Device) Stop() {
	d.mu.Lock()
	started := d.started
	d.changed = nil
	d.mu.Unlock()
	if !started {
		return
	}
	d.ctl.stop()
	for _, p := range d.ports {
		p.in.stop()
		p.out.stop()
	}
	d.workers.Wait()
	d.mu.Lock()
	d.started = false
	d.mu.Unlock()
	d.log.Info("console: driver gone")
}

// Resize tells the guest the size of a console in characters. It may be called at any time: a driver that comes later
// hears of the last size. port counts from 0.
func (d *Device) Resize(port int, cols, rows uint16) error {
	if port < 0 || port >= len(d.ports) {
		return fmt.Errorf("console: resize port %d: there are %d", port, len(d.ports))
	}
	if !d.ports[port].cons {
		return fmt.Errorf("console: resize port %d: not a console", port)
	}
	d.ctl.resize(port, cols, rows)
	if port == 0 {
		d.sizeChanged()
	}
	return nil
}

// sizeChanged tells a driver without MULTIPORT to look at the configuration space.
func (d *Device) sizeChanged() {
	d.mu.Lock()
	changed := d.changed
	d.mu.Unlock()
	if changed != nil {
		changed()
	}
}

// Flush waits until all output that the device has taken from the guest is written to the Outs, or until ctx is done.
func (d *Device) Flush(ctx context.Context) error {
	var errs []error
	for _, p := range d.ports {
		if err := p.out.drain(ctx); err != nil {
			errs = append(errs, fmt.Errorf("console: flush port %d: %w", p.id, err))
		}
	}
	return errors.Join(errs...)
}

// Close detaches the device from its readers and writers; it closes none of them. Stop comes first, and Flush if the
// last output matters: buffered output is thrown away. No Read or Write starts after Close. One under way may go on: a
// Read of an In without deadlines, such as a terminal, ends with its next byte, which is lost.
func (d *Device) Close() error {
	d.mu.Lock()
	d.closed = true
	d.mu.Unlock()
	for _, p := range d.ports {
		p.in.close()
		p.out.close()
	}
	return nil
}
