package pci

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	pcibus "github.com/husk-vm/husk/devices/pci"
	"github.com/husk-vm/husk/virtio"
)

// Layout of base address 0, one page each.
const (
	barIndex = 0

	offCommon = 0x0000
	offISR    = 0x1000
	offConfig = 0x2000
	offNotify = 0x3000
	offTable  = 0x4000
	offPBA    = 0x5000
	barSize   = 0x8000

	pageSize = 0x1000

	// notifyMultiplier is the distance between the notification addresses of two queues, in bytes [VIRTIO §4.1.4.4].
	notifyMultiplier = 4
	// maxQueues is set by the page of MSI-X vectors, 16 bytes each; one is for configuration changes.
	maxQueues = pageSize/16 - 1
)

// Config is what a device's transport gets from the machine.
type Config struct {
	Host virtio.Host
}

// Device is a virtio device in a PCI function.
type Device struct {
	core     *virtio.Core
	host     virtio.Host
	function *pcibus.Function
	msix     *pcibus.MSIX
	window   *window

	isr          atomic.Uint32
	configVector atomic.Uint32
	queueVectors []atomic.Uint32

	mu             sync.Mutex
	deviceSelect   uint32         // guarded by mu: device_feature_select
	driverSelect   uint32         // guarded by mu: driver_feature_select
	queueSelect    uint16         // guarded by mu
	detach         []func() error // of doorbells; guarded by the bus: Moved is never called twice at once
	detachFailures atomic.Uint64
}

// PCI identity of modern devices [VIRTIO §4.1.2].
const (
	vendorID     = 0x1af4
	deviceIDBase = 0x1040
	subsystemID  = 0x1100 // any value from 0x40 on
	revision     = 1
)

// New gives dev the registers of a PCI function. Add Function to a root complex to plug it in. Close frees it.
func New(dev virtio.Device, cfg Config) (*Device, error) {
	d := &Device{host: cfg.Host}
	core, err := virtio.NewCore(dev, cfg.Host, d)
	if err != nil {
		return nil, err
	}
	d.core = core
	d.queueVectors = make([]atomic.Uint32, core.Queues())
	if core.Queues() > maxQueues {
		err = fmt.Errorf("virtio: pci: %d queues, at most %d fit", core.Queues(), maxQueues)
	} else {
		err = d.build()
	}
	if err != nil {
		_ = core.Close() // the first error is the one to tell
		return nil, err
	}
	d.forget()
	return d, nil
}

// build makes the function.
func (d *Device) build() error {
	f := pcibus.NewFunction(pcibus.ID{
		Vendor: vendorID, Device: deviceIDBase + uint16(d.core.Type()),
		SubVendor: vendorID, SubDevice: subsystemID,
		Class: class(d.core.Type()), Revision: revision,
	})
	if err := d.addCapabilities(f); err != nil {
		return err
	}
	msix, err := f.AddMSIX(d.core.Queues()+1, pcibus.MSIXPlace{BAR: barIndex, Table: offTable, PBA: offPBA})
	if err != nil {
		return err
	}
	var regs pcibus.Regions
	for _, r := range []struct {
		off, size uint64
		dev       interface {
			Read(off uint64, p []byte)
			Write(off uint64, p []byte)
		}
	}{
		{offCommon, commonSize, (*common)(d)},
		{offISR, isrSize, (*isr)(d)},
		{offConfig, pageSize, (*config)(d)},
		{offNotify, pageSize, (*notify)(d)},
		{offTable, uint64(msix.Vectors()) * 16, msix.Table()},
		{offPBA, uint64(msix.Vectors()+63) / 64 * 8, msix.PBA()},
	} {
		if err := regs.Map(r.off, r.size, r.dev); err != nil {
			return err
		}
	}
	err = f.SetBAR(barIndex, pcibus.BAR{Size: barSize, Wide: true, Prefetchable: true, Device: &regs, Moved: d.moved})
	if err != nil {
		return err
	}
	f.OnReset(d.Reset)
	d.function, d.msix = f, msix
	return nil
}

// class is the PCI class of a device type. Drivers do not look; people and lspci do [PCI appendix D].
func class(t virtio.DeviceType) uint32 {
	switch t {
	case virtio.TypeNet:
		return 0x020000 // network controller, Ethernet
	case virtio.TypeBlock, virtio.TypeFS:
		return 0x018000 // mass storage, other
	case virtio.TypeConsole, virtio.TypeVsock:
		return 0x078000 // communication, other
	}
	return 0xff0000 // fits no class
}

// Function is what a root complex takes.
func (d *Device) Function() *pcibus.Function { return d.function }

// DetachFailures counts doorbells that the host would not detach from an address the device left. Stores there still
// ring them, which wakes a worker for nothing.
func (d *Device) DetachFailures() uint64 { return d.detachFailures.Load() }

// Core is the device's status machine: its counters, and why it failed.
func (d *Device) Core() *virtio.Core { return d.core }

// Reset brings the device to its power-on state and waits until it touches no guest memory any more, or until ctx ends.
// A root complex calls it when it is reset.
func (d *Device) Reset(ctx context.Context) error {
	d.forget()
	d.window.reset()
	return d.core.Reset(ctx)
}

// Pause waits until the device touches no guest memory and keeps it so until Resume. No vCPU runs meanwhile. If ctx
// ends first, the device runs on.
func (d *Device) Pause(ctx context.Context) error { return d.core.Pause(ctx) }

// Resume ends a Pause. Without one it does nothing.
func (d *Device) Resume() { d.core.Resume() }

// Close stops the device for good. No vCPU runs any more.
func (d *Device) Close() error {
	d.moved(0, false)
	return d.core.Close()
}

// forget is what a reset does to the transport's own registers: no vectors [VIRTIO §4.1.5.1.2.1], nothing in the ISR.
func (d *Device) forget() {
	d.configVector.Store(noVector)
	for i := range d.queueVectors {
		d.queueVectors[i].Store(noVector)
	}
	d.isr.Store(0)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.deviceSelect, d.driverSelect, d.queueSelect = 0, 0, 0
}

// moved lets guest stores to the notification addresses ring the queues' doorbells directly, where the host can do that.
// Where it cannot, they arrive as writes and ring them all the same.
func (d *Device) moved(base uint64, mapped bool) {
	for _, detach := range d.detach {
		if detach() != nil {
			d.detachFailures.Add(1)
		}
	}
	d.detach = d.detach[:0]
	if !mapped {
		return
	}
	for i := range d.core.Queues() {
		detach, err := d.host.Doorbells.Attach(d.core.Doorbell(i), base+offNotify+uint64(i)*notifyMultiplier)
		if err != nil {
			continue // no such path, or no room for more: stores keep coming as writes
		}
		d.detach = append(d.detach, detach)
	}
}

// Bits of the ISR [VIRTIO §4.1.4.5].
const (
	isrQueue  = 1
	isrConfig = 2
)

// QueueUsed implements virtio.Interrupter.
func (d *Device) QueueUsed(i int) {
	d.setISR(isrQueue)
	d.raise(d.queueVectors[i].Load())
}

// ConfigChanged implements virtio.Interrupter.
func (d *Device) ConfigChanged() {
	d.setISR(isrConfig)
	d.raise(d.configVector.Load())
}

func (d *Device) raise(vector uint32) {
	if vector != noVector {
		d.msix.Raise(int(vector))
	}
}

// setISR sets a bit; drivers that use MSI-X never read it, so it is nearly always set already.
func (d *Device) setISR(bit uint32) {
	if d.isr.Load()&bit == 0 {
		d.isr.Or(bit)
	}
}
