package hvtest

import (
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/husk-vm/husk/internal/hv"
)

const msiAddr = lapicBase // to processor 0, physical destination [SDM vol. 3A §11.11.1]

// lapics starts a guest that sleeps with interrupts on, or skips.
func lapics(t *testing.T, b hv.Backend) (*guest, hv.X86VCPU, hv.X86LAPICs) {
	t.Helper()
	g := newGuest(t, b, 1, lapicOn)
	l, ok := g.vm.(hv.X86LAPICs)
	if !ok {
		t.Skip("local APICs are not the back end's")
	}
	v := g.vcpu(0)
	g.enter(v, longMode, codeAt)
	g.wantOut(v, portShow, 1)
	return g, v, l
}

// testMSI sends messages to a guest that is about to sleep: they must not be lost between STI and HLT.
func testMSI(t *testing.T, b hv.Backend) {
	g, v, l := lapics(t, b)
	for vector := uint32(firstVector); vector <= lastVector; vector++ {
		if err := l.SignalMSI(msiAddr, vector); err != nil {
			t.Fatal(err)
		}
		if got := g.wantOut(v, portIRQ, 1); got != uint64(vector) {
			t.Fatalf("vector %#x, want %#x", got, vector)
		}
	}
	// Nobody has APIC id 7, and an address outside the range is no interrupt: both are dropped, as hardware does.
	if err := l.SignalMSI(msiAddr|7<<12, 0x40); err != nil {
		t.Logf("nobody's interrupt: %v", err)
	}
	if err := l.SignalMSI(0x1000, 0x40); err != nil {
		t.Logf("no interrupt address: %v", err)
	}
	if err := l.SignalMSI(msiAddr, 0x7f); err != nil {
		t.Fatal(err)
	}
	if got := g.wantOut(v, portIRQ, 1); got != 0x7f {
		t.Errorf("vector %#x, want 0x7f", got)
	}
}

// testMSIWakesHalt sends messages from another goroutine to a guest that sleeps.
func testMSIWakesHalt(t *testing.T, b hv.Backend) {
	g, v, l := lapics(t, b)
	const rounds = 50
	next := make(chan uint32)
	var sender sync.WaitGroup
	sender.Go(func() {
		for vector := range next {
			g.check(l.SignalMSI(msiAddr, vector))
		}
	})
	for i := range uint32(rounds) {
		vector := firstVector + i%0x40
		next <- vector // while the vCPU goes to sleep, or is asleep
		if got := g.wantOut(v, portIRQ, 1); got != uint64(vector) {
			t.Fatalf("vector %#x, want %#x", got, vector)
		}
	}
	close(next)
	sender.Wait()
}

func testIRQ(t *testing.T, b hv.Backend) {
	g, v, _ := lapics(t, b)
	vm, ok := g.vm.(hv.IRQFDs)
	if !ok {
		t.Skip("no interrupt events")
	}
	var irqs [3]hv.IRQ
	for i := range irqs {
		var err error
		if irqs[i], err = vm.NewIRQ(); err != nil {
			t.Fatal(err)
		}
		defer irqs[i].Close()
	}
	irqs[0].Raise() // without a route: nothing
	for round := range uint32(3) {
		for i, q := range irqs {
			if err := q.Route(msiAddr, 0x40+8*uint32(i)+round); err != nil {
				t.Fatal(err)
			}
		}
		for i, q := range irqs {
			q.Raise()
			if got, want := g.wantOut(v, portIRQ, 1), 0x40+8*uint64(i)+uint64(round); got != want {
				t.Fatalf("irq %d raised %#x, want %#x", i, got, want)
			}
		}
	}
	if err := irqs[0].Close(); err != nil {
		t.Error(err)
	}
	irqs[0].Raise() // closed: nothing
	irqs[1].Raise()
	if got := g.wantOut(v, portIRQ, 1); got != 0x4a {
		t.Errorf("vector %#x, want 0x4a", got)
	}
}

// testIOAPICEOI raises level-triggered interrupts and waits for the reports of their ends, the second one of a pin that
// was masked meanwhile.
func testIOAPICEOI(t *testing.T, b hv.Backend) {
	const level = 1<<15 | 1<<14 // trigger mode level, asserted [SDM vol. 3A §11.11.2]
	g, v, l := lapics(t, b)
	pins := make([]hv.MSIRoute, 24)
	pins[3] = hv.MSIRoute{Addr: msiAddr, Data: level | 0x51}
	pins[9] = hv.MSIRoute{Addr: msiAddr, Data: level | 0x62}
	if err := l.SetIOAPICRoutes(pins); err != nil {
		t.Fatal(err)
	}
	raise := func(vector uint32) {
		t.Helper()
		if err := l.SignalMSI(msiAddr, level|vector); err != nil {
			t.Fatal(err)
		}
		if got := g.wantOut(v, portIRQ, 1); got != uint64(vector) {
			t.Fatalf("vector %#x, want %#x", got, vector)
		}
	}
	ends := func(vector uint8) {
		t.Helper()
		if exit := g.want(v, hv.ExitIOAPICEOI); exit.Vector != vector {
			t.Fatalf("end of %#x, want %#x", exit.Vector, vector)
		}
	}
	raise(0x51)
	ends(0x51)
	raise(0x62)
	pins[9] = hv.MSIRoute{} // the handler's driver masks its line before the interrupt ends
	if err := l.SetIOAPICRoutes(pins); err != nil {
		t.Fatal(err)
	}
	ends(0x62)
	// An edge-triggered message has no end worth telling.
	if err := l.SignalMSI(msiAddr, 0x44); err != nil {
		t.Fatal(err)
	}
	if got := g.wantOut(v, portIRQ, 1); got != 0x44 {
		t.Fatalf("vector %#x, want 0x44", got)
	}
	if err := l.SignalMSI(msiAddr, 0x45); err != nil {
		t.Fatal(err)
	}
	if got := g.wantOut(v, portIRQ, 1); got != 0x45 {
		t.Fatalf("vector %#x, want 0x45: an end was reported that nobody asked for", got)
	}
}

// testStartProcessor has processor 0 start processor 1 in real mode, and processor 1 interrupt processor 0 from long mode.
func testStartProcessor(t *testing.T, b hv.Backend) {
	g := newGuest(t, b, 2, startAP)
	if _, ok := g.vm.(hv.X86LAPICs); !ok {
		t.Skip("local APICs are not the back end's")
	}
	g.write(apCodeAt, apReal)
	g.write(ipiCodeAt, sendIPI)
	boot := g.vcpu(0)
	g.enter(boot, longMode, codeAt)
	var ap sync.WaitGroup
	defer ap.Wait()
	ready := make(chan struct{})
	ap.Go(func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		v, err := g.newVCPU(1)
		close(ready)
		if !g.check(err) {
			return
		}
		defer func() { g.check(v.Close()) }()
		watchdog := time.AfterFunc(patience, v.Kick)
		defer watchdog.Stop()
		var exit hv.Exit
		if !g.check(v.Run(&exit)) {
			return
		}
		if exit.Kind != hv.ExitPort || exit.Addr != portAP || number(exit.Data) != apCodeAt>>4 {
			t.Errorf("processor 1: %v, port %#x, data % x; want its code segment %#x", exit.Kind, exit.Addr, exit.Data, apCodeAt>>4)
			return
		}
		if !g.check(v.Settle()) || !g.check(setMode(v, longMode, ipiCodeAt)) || !g.check(v.Run(&exit)) {
			return
		}
		if exit.Kind != hv.ExitPort || exit.Addr != portDone {
			t.Errorf("processor 1: %v, port %#x", exit.Kind, exit.Addr)
		}
	})
	<-ready
	if got := g.wantOut(boot, portIRQ, 1); got != 0x61 {
		t.Errorf("vector %#x, want 0x61", got)
	}
}
