package virtiotest

import (
	"encoding/binary"
	"fmt"
	"runtime"

	"github.com/husk-vm/husk/devices"
	"github.com/husk-vm/husk/internal/guestmem"
	"github.com/husk-vm/husk/virtio"
)

// Function is a PCI function as a driver reaches it.
type Function struct {
	Config devices.Device // its configuration space
	MMIO   devices.Device // the machine's memory bus: offsets are addresses
	Bells  *Doorbells     // asked before MMIO when the driver notifies
	MSIs   *MSIs          // its Deliver is set by PCI
	Close  func() error   // unplugs the device
}

// PCITransport drives a modern virtio PCI function through its registers, as linux drivers/virtio/virtio_pci_modern.c does.
type PCITransport struct {
	Interrupts
	f        Function
	common   uint64 // addresses
	notify   uint64
	isr      uint64
	config   uint64
	multiple uint64
	table    uint64
	msix     uint64 // offset of the capability
	vectors  int
}

// msiAddress is where the driver points all vectors; a message's data is the vector's number.
const msiAddress = 0xfee00000

// PCI finds the function's capabilities, enables decoding and MSI-X, and gives each queue a vector.
func PCI(f Function) (*PCITransport, error) {
	p := &PCITransport{f: f}
	if id := p.cfg(0, 4); id&0xffff != 0x1af4 || id>>16 < 0x1040 || id>>16 > 0x107f {
		return nil, fmt.Errorf("virtiotest: function %#x is no modern virtio device", id)
	}
	p.SetCommand(0x6) // memory, bus master
	if err := p.findCapabilities(); err != nil {
		return nil, err
	}
	f.MSIs.Deliver = p.deliver
	p.f.MSIs = f.MSIs
	p.enableMSIX()
	return p, nil
}

// SetCommand writes the COMMAND register.
func (p *PCITransport) SetCommand(v uint16) { p.setCfg(4, 2, uint64(v)) }

// BAR returns the address in base address register i.
func (p *PCITransport) BAR(i int) uint64 {
	lo := p.cfg(0x10+4*uint64(i), 4)
	addr := lo &^ 0xf
	if lo&4 != 0 {
		addr |= p.cfg(0x14+4*uint64(i), 4) << 32
	}
	return addr
}

// MoveBAR writes a 64-bit base address register with decoding off, as drivers do, and finds the structures again.
func (p *PCITransport) MoveBAR(i int, addr uint64) error {
	cmd := p.cfg(4, 2)
	p.SetCommand(uint16(cmd &^ 2))
	p.setCfg(0x10+4*uint64(i), 4, addr&0xffffffff)
	p.setCfg(0x14+4*uint64(i), 4, addr>>32)
	p.SetCommand(uint16(cmd))
	return p.findCapabilities()
}

// Common is the address of offset off in the common configuration structure, for tests that poke its registers.
func (p *PCITransport) Common(off uint64) uint64 { return p.common + off }

// NotifyAddress is where a store notifies queue i.
func (p *PCITransport) NotifyAddress(i int) uint64 {
	p.put(p.common+22, 2, uint64(i))
	return p.notify + p.get(p.common+30, 2)*p.multiple
}

func (p *PCITransport) findCapabilities() error {
	found := 0
	for at := p.cfg(0x34, 1); at != 0; at = p.cfg(at+1, 1) {
		switch p.cfg(at, 1) {
		case 0x11:
			p.msix = at
			p.vectors = int(p.cfg(at+2, 2)&0x7ff) + 1
			t := p.cfg(at+4, 4)
			p.table = p.BAR(int(t&7)) + t&^7
		case 0x09:
			addr := p.BAR(int(p.cfg(at+4, 1))) + p.cfg(at+8, 4)
			switch p.cfg(at+3, 1) {
			case 1:
				p.common = addr
			case 2:
				p.notify = addr
				p.multiple = p.cfg(at+16, 4)
			case 3:
				p.isr = addr
			case 4:
				p.config = addr
			}
			found |= 1 << p.cfg(at+3, 1)
		}
	}
	if found != 0b111110 || p.msix == 0 {
		return fmt.Errorf("virtiotest: capabilities %#b, msi-x at %#x", found, p.msix)
	}
	return nil
}

func (p *PCITransport) enableMSIX() {
	p.setCfg(p.msix+2, 2, 0xc000) // enabled, function masked
	for i := range p.vectors {
		e := p.table + 16*uint64(i)
		p.put(e, 4, msiAddress)
		p.put(e+4, 4, 0)
		p.put(e+8, 4, uint64(i))
		p.put(e+12, 4, 0)
	}
	p.setCfg(p.msix+2, 2, 0x8000)
}

// deliver is the interrupt controller: vector 0 is for configuration changes, 1 is queue 0's.
func (p *PCITransport) deliver(m devices.MSI) {
	if m.Addr != msiAddress {
		return
	}
	if m.Data == 0 {
		p.ConfigChanged()
	} else {
		p.QueueUsed(int(m.Data) - 1)
	}
}

func (p *PCITransport) cfg(off uint64, n int) uint64 { return load(p.f.Config, off, n) }

func (p *PCITransport) setCfg(off uint64, n int, v uint64) { store(p.f.Config, off, n, v) }

func (p *PCITransport) get(addr uint64, n int) uint64 { return load(p.f.MMIO, addr, n) }

func (p *PCITransport) put(addr uint64, n int, v uint64) { store(p.f.MMIO, addr, n, v) }

func load(d devices.Device, off uint64, n int) uint64 {
	var b [8]byte
	d.Read(off, b[:n])
	return binary.LittleEndian.Uint64(b[:])
}

func store(d devices.Device, off uint64, n int, v uint64) {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], v)
	d.Write(off, b[:n])
}

// DeviceType is the device's type.
func (p *PCITransport) DeviceType() virtio.DeviceType {
	return virtio.DeviceType(p.cfg(2, 2) - 0x1040)
}

// Offered reads the device's features.
func (p *PCITransport) Offered() virtio.Features {
	p.put(p.common, 4, 0)
	f := p.get(p.common+4, 4)
	p.put(p.common, 4, 1)
	return virtio.Features(f | p.get(p.common+4, 4)<<32)
}

// SetFeatures writes the driver's features.
func (p *PCITransport) SetFeatures(f virtio.Features) {
	for i := range uint64(2) {
		p.put(p.common+8, 4, i)
		p.put(p.common+12, 4, uint64(f)>>(32*i)&0xffffffff)
	}
}

// Status reads the device status.
func (p *PCITransport) Status() virtio.Status { return virtio.Status(p.get(p.common+20, 1)) }

// SetStatus writes the device status; after a reset it waits for the device and gives the vectors out again.
func (p *PCITransport) SetStatus(s virtio.Status) {
	p.put(p.common+20, 1, uint64(s))
	if s != 0 {
		return
	}
	for p.Status() != 0 {
		runtime.Gosched()
	}
	p.put(p.common+16, 2, 0)
	for i := range p.Queues() {
		p.put(p.common+22, 2, uint64(i))
		p.put(p.common+26, 2, uint64(i)+1)
	}
}

// ReadConfig reads the device configuration space in the widest units that fit.
func (p *PCITransport) ReadConfig(off uint32, b []byte) {
	for len(b) > 0 {
		n := width(uint64(off), len(b))
		p.f.MMIO.Read(p.config+uint64(off), b[:n])
		off, b = off+uint32(n), b[n:]
	}
}

// WriteConfig writes the device configuration space.
func (p *PCITransport) WriteConfig(off uint32, b []byte) {
	for len(b) > 0 {
		n := width(uint64(off), len(b))
		p.f.MMIO.Write(p.config+uint64(off), b[:n])
		off, b = off+uint32(n), b[n:]
	}
}

// width is the widest access that is aligned at off and fits into n bytes, 4 at most.
func width(off uint64, n int) int {
	for w := 4; ; w /= 2 {
		if w <= n && off%uint64(w) == 0 {
			return w
		}
	}
}

// Queues is the number of queues.
func (p *PCITransport) Queues() int { return int(p.get(p.common+18, 2)) }

// QueueMax is the greatest size of queue i.
func (p *PCITransport) QueueMax(i int) uint16 {
	p.put(p.common+22, 2, uint64(i))
	return uint16(p.get(p.common+24, 2))
}

// SetQueue sets queue i up and enables it.
func (p *PCITransport) SetQueue(i int, size uint16, desc, avail, used guestmem.GPA) {
	p.put(p.common+22, 2, uint64(i))
	p.put(p.common+24, 2, uint64(size))
	for j, a := range []guestmem.GPA{desc, avail, used} {
		at := p.common + 32 + 8*uint64(j)
		p.put(at, 4, uint64(a)&0xffffffff)
		p.put(at+4, 4, uint64(a)>>32)
	}
	p.put(p.common+28, 2, 1)
}

// Notify stores to queue i's notification address.
func (p *PCITransport) Notify(i int) {
	addr := p.NotifyAddress(i)
	if !p.f.Bells.Store(addr) {
		p.put(addr, 2, uint64(i))
	}
}

// Interrupt is queue i's interrupts.
func (p *PCITransport) Interrupt(i int) <-chan struct{} { return p.queue(i) }

// ConfigInterrupt is the interrupts of configuration changes.
func (p *PCITransport) ConfigInterrupt() <-chan struct{} { return p.conf() }

// Close unplugs the device.
func (p *PCITransport) Close() error { return p.f.Close() }
