package pci_test

import (
	"errors"
	"testing"

	"github.com/husk-vm/husk/devices"
	pcibus "github.com/husk-vm/husk/devices/pci"
	"github.com/husk-vm/husk/virtio"
	"github.com/husk-vm/husk/virtio/pci"
	"github.com/husk-vm/husk/virtio/virtiotest"
)

// machine is a bus with a root complex and one virtio device in slot 1.
type machine struct {
	bus   devices.Bus
	root  *pcibus.Root
	ecam  devices.Device
	dev   *pci.Device
	msis  *virtiotest.MSIs
	bells *virtiotest.Doorbells
	host  virtio.Host
}

const (
	mem64 = 0x1_0000_0000
	slot1 = 1 << 15 // in ECAM
)

func newMachine(t testing.TB, dev virtio.Device) *machine {
	t.Helper()
	return newMachineRAM(t, dev, 0)
}

func newMachineRAM(t testing.TB, dev virtio.Device, ram uint64) *machine {
	t.Helper()
	m := &machine{msis: &virtiotest.MSIs{}, host: virtiotest.Host(t, ram)}
	m.bells = m.host.Doorbells.(*virtiotest.Doorbells)
	var err error
	m.root, err = pcibus.New(pcibus.Config{
		MMIO: &m.bus, Interrupts: m.msis,
		Mem32: pcibus.Window{Base: 0xc000_0000, Size: 0x1000_0000},
		Mem64: pcibus.Window{Base: mem64, Size: 0x1000_0000},
	})
	if err != nil {
		t.Fatal(err)
	}
	m.ecam = m.root.ECAM()
	m.dev, err = pci.New(dev, pci.Config{Host: m.host})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.root.Add(1, m.dev.Function()); err != nil {
		t.Fatal(err)
	}
	return m
}

func (m *machine) close() error { return errors.Join(m.dev.Close(), m.root.Close()) }

// transport drives the device's registers.
func (m *machine) transport(t testing.TB) *virtiotest.PCITransport {
	t.Helper()
	tr, err := virtiotest.PCI(virtiotest.Function{
		Config: part{m.ecam, slot1}, MMIO: &m.bus, Bells: m.bells, MSIs: m.msis, Close: m.close,
	})
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

// start drives the device up to DRIVER_OK.
func (m *machine) start(t testing.TB, dev virtio.Device) *virtiotest.Driver {
	t.Helper()
	return virtiotest.Start(t, dev, virtiotest.Options{Host: m.host, Transport: m.transport(t)})
}

// part is what lies at base in a device.
type part struct {
	devices.Device
	base uint64
}

func (p part) Read(off uint64, b []byte)  { p.Device.Read(p.base+off, b) }
func (p part) Write(off uint64, b []byte) { p.Device.Write(p.base+off, b) }

// echo copies what is readable into what is writable.
type echo struct {
	queues  int
	workers virtio.Workers
}

func (*echo) Type() virtio.DeviceType   { return virtio.TypeEntropy }
func (*echo) Features() virtio.Features { return 1<<2 | 1<<50 }
func (e *echo) QueueSizes() []uint16 {
	sizes := []uint16{8, 16, 4}
	for len(sizes) < e.queues {
		sizes = append(sizes, 2)
	}
	return sizes[:max(e.queues, 1)]
}

func (*echo) ReadConfig(off uint32, p []byte) {
	for i := range p {
		p[i] = 0
		if o := uint64(off) + uint64(i); o < 6 {
			p[i] = byte(0x10 + o)
		}
	}
}
func (*echo) WriteConfig(uint32, []byte) {}

func (e *echo) Start(a virtio.Activation) error {
	for _, q := range a.Queues {
		if q != nil {
			e.workers.Go(q, a.Fail, func(q *virtio.Queue) { virtio.Serve(q, a.Fail, e.handle) })
		}
	}
	return nil
}

func (e *echo) Stop() { e.workers.Wait() }

func (*echo) handle(c *virtio.Chain) (uint32, error) {
	n := min(c.Readable(), c.Writable())
	err := c.WithReadable(0, n, func(in [][]byte) error {
		off := uint64(0)
		for _, p := range in {
			if err := c.WriteAt(p, off); err != nil {
				return err
			}
			off += uint64(len(p))
		}
		return nil
	})
	return uint32(n), err
}

// newDevice makes a device of n queues without a machine.
func newDevice(t testing.TB, n int) (*pci.Device, error) {
	t.Helper()
	return pci.New(&echo{queues: n}, pci.Config{Host: virtiotest.Host(t, 0)})
}
