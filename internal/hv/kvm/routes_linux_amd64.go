package kvm

import (
	"encoding/binary"
	"fmt"
	"sync"

	"github.com/husk-vm/husk/internal/hv"
)

const routingMSI = 2 // KVM_IRQ_ROUTING_MSI

// Layout of struct kvm_irq_routing: a count, flags, then the entries.
const (
	routingHeader = 8
	routingEntry  = 48

	routeGSI    = 0
	routeType   = 4
	routeAddrLo = 16
	routeAddrHi = 20
	routeData   = 24
)

// routes is what the kernel was told about the IOAPIC's pins. In split mode it never delivers them: it only learns from
// the table which vectors are level-triggered, so that it reports their ends. Everything else that interrupts is sent by
// SignalMSI, which needs no route; a change of the table makes the kernel wait for all its readers.
type routes struct {
	mu   sync.Mutex
	pins [ioapicPins]hv.MSIRoute // guarded by mu
}

// SetIOAPICRoutes tells which message each IOAPIC pin would send, so that ends of level-triggered interrupts come back as
// ExitIOAPICEOI. A masked pin, all zero, keeps its last route in the kernel: the interrupt under way when a driver masks
// its line has yet to end, and the IOAPIC waits for that. So masking and unmasking cost nothing either.
func (vm *VM) SetIOAPICRoutes(pins []hv.MSIRoute) error {
	if len(pins) > ioapicPins {
		return fmt.Errorf("kvm: set ioapic routes: %d pins, there are %d", len(pins), ioapicPins)
	}
	r := &vm.arch.routes
	r.mu.Lock() // held over the ioctl: tables must arrive in the order they were made
	defer r.mu.Unlock()
	next := r.pins
	for i, p := range pins {
		if p != (hv.MSIRoute{}) {
			next[i] = p
		}
	}
	if next == r.pins {
		return nil
	}
	if _, err := callBytes(vm.fd, setGSIRouting, vm.arch.encodeRoutes(&next)); err != nil {
		return fmt.Errorf("kvm: set ioapic routes: %w", err)
	}
	r.pins = next
	return nil
}

// encodeRoutes is struct kvm_irq_routing for the pins that were ever unmasked.
func (a *archVM) encodeRoutes(pins *[ioapicPins]hv.MSIRoute) []byte {
	b := make([]byte, routingHeader, routingHeader+ioapicPins*routingEntry)
	n := uint32(0)
	for gsi, p := range pins {
		if p == (hv.MSIRoute{}) || !isMSIAddress(p.Addr) {
			continue
		}
		m := a.message(p.Addr, p.Data)
		var e [routingEntry]byte
		binary.NativeEndian.PutUint32(e[routeGSI:], uint32(gsi))
		binary.NativeEndian.PutUint32(e[routeType:], routingMSI)
		binary.NativeEndian.PutUint32(e[routeAddrLo:], m.addressLo)
		binary.NativeEndian.PutUint32(e[routeAddrHi:], m.addressHi)
		binary.NativeEndian.PutUint32(e[routeData:], m.data)
		b = append(b, e[:]...)
		n++
	}
	binary.NativeEndian.PutUint32(b, n)
	return b
}
