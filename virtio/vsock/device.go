package vsock

import (
	"encoding/binary"
	"fmt"
	"log/slog"
	"net"
	"sync"

	"github.com/husk-vm/husk/virtio"
)

// Defaults and limits of Config.
const (
	DefaultWindow   = 256 << 10 // bytes; what Linux gives its own sockets (VIRTIO_VSOCK_DEFAULT_BUF_SIZE)
	MinWindow       = 4 << 10   // bytes
	MaxWindow       = 16 << 20  // bytes
	DefaultMaxConns = 1024

	minGuestCID = 3          // 0 to 2 are reserved [VIRTIO §5.10.4]
	maxGuestCID = 0xfffffffe // 0xffffffff is reserved; the upper 32 bits are zero [VIRTIO §5.10.4]
)

// The queues, in the spec's order [VIRTIO §5.10.2].
const (
	queueRx    = 0 // to the guest
	queueTx    = 1 // from the guest
	queueEvent = 2 // to the guest
	numQueues  = 3
)

// featStream is VIRTIO_VSOCK_F_STREAM [VIRTIO §5.10.3]. A driver that takes no feature bit gets streams all the same.
const featStream = 1 << 0

// Config describes a device.
type Config struct {
	// GuestCID is the guest's context ID, 3 to 0xfffffffe. VMs may share one: each device is a network of its own.
	GuestCID uint64
	// Window is how many bytes from the guest a connection holds for its reader, MinWindow to MaxWindow; 0 means
	// DefaultWindow.
	Window uint32
	// MaxConns is how many connections may exist at once; 0 means DefaultMaxConns. A connection counts until both the
	// guest and the host have let go of it.
	MaxConns int
	// Logger gets a line when the driver comes, goes or misbehaves; nil means no log.
	Logger *slog.Logger
}

// Device is a virtio socket device. Its methods may be called from any goroutine; those of virtio.Device as that
// interface says.
type Device struct {
	cid      uint64
	window   uint32
	maxConns int
	log      *slog.Logger

	sched   schedule
	events  events
	chunks  chunkPool
	count   counters
	workers virtio.Workers

	// Lock order: mu, Conn.mu, schedule.mu.
	mu        sync.Mutex
	running   bool                 // guarded by mu; between Start and Stop, and the driver is sane
	started   bool                 // guarded by mu; between Start and Stop
	closed    bool                 // guarded by mu
	conns     map[connKey]*Conn    // guarded by mu; those whose ports are taken
	live      int                  // guarded by mu; connections that count against maxConns
	listeners map[uint32]*Listener // guarded by mu; by port
	nextPort  uint32               // guarded by mu; where Dial looks for a free port
}

var _ virtio.Device = (*Device)(nil)

// New makes a device. It starts nothing.
func New(cfg Config) (*Device, error) {
	if cfg.Window == 0 {
		cfg.Window = DefaultWindow
	}
	if cfg.MaxConns == 0 {
		cfg.MaxConns = DefaultMaxConns
	}
	switch {
	case cfg.GuestCID < minGuestCID || cfg.GuestCID > maxGuestCID:
		return nil, fmt.Errorf("vsock: guest cid %d: not in %d to %d", cfg.GuestCID, minGuestCID, uint32(maxGuestCID))
	case cfg.Window < MinWindow || cfg.Window > MaxWindow:
		return nil, fmt.Errorf("vsock: window of %d bytes: not in %d to %d", cfg.Window, MinWindow, MaxWindow)
	case cfg.MaxConns < 0:
		return nil, fmt.Errorf("vsock: limit of %d connections: negative", cfg.MaxConns)
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	d := &Device{
		cid:       cfg.GuestCID,
		window:    cfg.Window,
		maxConns:  cfg.MaxConns,
		log:       cfg.Logger,
		conns:     make(map[connKey]*Conn),
		listeners: make(map[uint32]*Listener),
		nextPort:  firstPort,
	}
	d.sched.init()
	d.events.init()
	return d, nil
}

// Type returns virtio.TypeVsock.
func (d *Device) Type() virtio.DeviceType { return virtio.TypeVsock }

// Features returns VIRTIO_VSOCK_F_STREAM.
func (d *Device) Features() virtio.Features { return featStream }

// QueueSizes returns the sizes of the receive, transmit and event queues.
func (d *Device) QueueSizes() []uint16 { return []uint16{256, 256, 16} }

// ReadConfig reads struct virtio_vsock_config: the guest's context ID in 8 bytes [VIRTIO §5.10.4].
func (d *Device) ReadConfig(off uint32, p []byte) {
	var space [8]byte
	binary.LittleEndian.PutUint64(space[:], d.cid)
	clear(p)
	if off < uint32(len(space)) {
		copy(p, space[off:])
	}
}

// WriteConfig does nothing: the configuration space is read-only [VIRTIO §5.10.4].
func (d *Device) WriteConfig(uint32, []byte) {}

// Start begins to move packets.
func (d *Device) Start(a virtio.Activation) error {
	for i := range numQueues {
		if len(a.Queues) <= i || a.Queues[i] == nil {
			return fmt.Errorf("vsock: start: driver left queue %d disabled", i)
		}
	}
	d.mu.Lock()
	if d.closed {
		d.mu.Unlock()
		return fmt.Errorf("vsock: start: %w", net.ErrClosed)
	}
	d.sched.start()
	d.events.start()
	d.running, d.started = true, true
	d.mu.Unlock()

	fail := func(err error) { d.broken(a.Fail, err) }
	d.workers.Go(a.Queues[queueRx], fail, (&rxWorker{d: d, fail: fail}).run)
	d.workers.Go(a.Queues[queueTx], fail, (&txWorker{d: d, fail: fail}).run)
	d.workers.Go(a.Queues[queueEvent], fail, (&eventWorker{d: d, fail: fail}).run)
	d.log.Info("vsock: driver ready", "cid", d.cid)
	return nil
}

// Stop ends all connections with ErrReset. Listeners stay, for the guest's next boot.
func (d *Device) Stop() {
	d.mu.Lock()
	if !d.started {
		d.mu.Unlock()
		return
	}
	d.running = false
	d.mu.Unlock()

	d.sched.stop()
	d.events.stop()
	d.workers.Wait()
	d.endAll(ErrReset)

	d.mu.Lock()
	d.started = false
	d.mu.Unlock()
	d.log.Info("vsock: driver gone", "cid", d.cid)
}

// broken gives the device up until the driver resets it. A worker calls it and ends. No lock is held.
func (d *Device) broken(fail func(error), err error) {
	d.mu.Lock()
	d.running = false
	d.mu.Unlock()
	d.log.Warn("vsock: driver misbehaves", "cid", d.cid, "err", err)
	d.endAll(ErrReset)
	fail(err)
}

// endAll ends all connections with err and empties the table.
func (d *Device) endAll(err error) {
	d.mu.Lock()
	conns := make([]*Conn, 0, len(d.conns))
	for _, c := range d.conns {
		conns = append(conns, c)
	}
	d.mu.Unlock()
	for _, c := range conns {
		c.end(err)
	}
}

// Close ends all connections and listeners for good, with net.ErrClosed. It does not stop the workers: Stop does.
func (d *Device) Close() error {
	d.mu.Lock()
	d.closed, d.running = true, false
	listeners := make([]*Listener, 0, len(d.listeners))
	for _, l := range d.listeners {
		listeners = append(listeners, l)
	}
	d.mu.Unlock()
	for _, l := range listeners {
		l.Close()
	}
	d.endAll(net.ErrClosed)
	return nil
}

// GuestCID is the guest's context ID.
func (d *Device) GuestCID() uint64 { return d.cid }

// lookup returns the connection with that key, or nil.
func (d *Device) lookup(k connKey) *Conn {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.conns[k]
}

// drop takes c out of the table: its ports are free again. Neither d.mu nor c.mu is held.
func (d *Device) drop(c *Conn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.conns[c.key] == c {
		delete(d.conns, c.key)
		c.listed = false
		d.forget(c)
	}
}

// unhold notes that the host's program has let go of c. Neither d.mu nor c.mu is held.
func (d *Device) unhold(c *Conn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if c.held {
		c.held = false
		d.forget(c)
	}
}

// forget stops counting c if nobody knows it any more. Precondition: d.mu is held, and listed or held just fell.
func (d *Device) forget(c *Conn) {
	if !c.listed && !c.held {
		d.live--
	}
}

// admit makes a connection and puts it into the table. Precondition: d.mu is held, the key is free and live < maxConns.
func (d *Device) admit(k connKey, s state) *Conn {
	c := newConn(d, k, s)
	c.listed, c.held = true, true
	d.conns[k] = c
	d.live++
	return c
}
