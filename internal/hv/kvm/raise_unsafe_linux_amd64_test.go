package kvm

import (
	"structs"
	"testing"
	"unsafe"

	"github.com/husk-vm/husk/internal/guestmem"
	"github.com/husk-vm/husk/internal/hostos"
	"github.com/husk-vm/husk/internal/hv"
)

// irqFD is struct kvm_irqfd. Only this benchmark uses it.
type irqFD struct {
	_     structs.HostLayout
	fd    uint32
	gsi   uint32
	flags uint32
	_     [20]byte
}

// BenchmarkRaise compares the two ways to send an MSI: the ioctl that IRQ.Raise uses, and a write to an eventfd that is
// bound to a route. It also says what a change of the route table costs, which the first way never needs.
func BenchmarkRaise(b *testing.B) {
	vm, _ := testVM(b)
	q, err := vm.NewIRQ()
	if err != nil {
		b.Fatal(err)
	}
	if err := q.Route(0xfee0_0000, 0x41); err != nil {
		b.Fatal(err)
	}
	b.Run("signal msi", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			q.Raise()
		}
	})
	var n byte
	if err := vm.SetIOAPICRoutes([]hv.MSIRoute{{Addr: 0xfee0_0000, Data: 0x41}}); err != nil {
		b.Fatal(err)
	}
	e, err := hostos.NewEvent()
	if err != nil {
		b.Fatal(err)
	}
	defer e.Close()
	fd, err := e.FD().Acquire()
	if err != nil {
		b.Fatal(err)
	}
	defer e.FD().Release()
	arg := irqFD{fd: uint32(fd), gsi: 0}
	if unsafe.Sizeof(arg) != 32 {
		b.Fatal("layout of struct kvm_irqfd")
	}
	if _, err := callWith(vm.fd, request(0x4020_ae76), &arg); err != nil {
		b.Fatal(err)
	}
	b.Run("irqfd", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			e.Ring()
		}
	})
	b.Run("change of routes", func(b *testing.B) {
		for b.Loop() {
			n = n%64 + 1
			if err := vm.SetIOAPICRoutes([]hv.MSIRoute{{Addr: 0xfee0_0000, Data: 0x41 + uint32(n)}}); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// testVM makes a VM with one vCPU on the calling thread, or skips.
func testVM(tb testing.TB) (*VM, *VCPU) {
	tb.Helper()
	lockThread(tb)
	b := New()
	mem, err := guestmem.New([]guestmem.Region{{Size: probeRAM}})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { mustNil(tb, mem.Close()) })
	vm, err := b.NewVM(mem, hv.Config{CPUs: 1})
	if err != nil {
		reason, _ := b.explain(err)
		tb.Skip(reason)
	}
	tb.Cleanup(func() { mustNil(tb, vm.Close()) })
	ram, err := mem.Range(0, probeRAM)
	if err != nil {
		tb.Fatal(err)
	}
	if err := writeProbe(ram); err != nil {
		tb.Fatal(err)
	}
	v, err := vm.NewVCPU(0)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { mustNil(tb, v.Close()) })
	return vm.(*VM), v.(*VCPU)
}
