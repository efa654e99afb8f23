package hvtest

import (
	"errors"
	"slices"
	"testing"

	"github.com/husk-vm/husk/internal/guestmem"
	"github.com/husk-vm/husk/internal/hv"
)

func testTwoRegions(t *testing.T, b hv.Backend) {
	g := newGuest(t, b, 1, secondRegion)
	v := g.vcpu(0)
	g.enter(v, longMode, codeAt)
	g.wantOut(v, portDone, 1)
	if got := number(g.read(ram2Base+0x1000, 4)); got != 0x600d_f00d {
		t.Errorf("second region has %#x", got)
	}
}

func testDirtyLog(t *testing.T, b hv.Backend) {
	g := newGuest(t, b, 1, dirtyProg)
	log, ok := g.vm.(hv.DirtyLog)
	if !ok {
		t.Skip("no dirty log")
	}
	v := g.vcpu(0)
	if err := log.SetDirtyLog(true); err != nil {
		t.Fatal(err)
	}
	g.mem.TrackDirty(true)
	g.enter(v, longMode, codeAt)
	g.wantOut(v, portDone, 1)
	g.write(0x1_2ffe, make([]byte, 4)) // a device's store, across two pages
	got, err := log.Dirty(0)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != ramSize/guestmem.PageSize/64 {
		t.Errorf("%d words for %d pages", len(got), ramSize/guestmem.PageSize)
	}
	for page := range ramSize / guestmem.PageSize {
		dirty := got[page/64]>>(page%64)&1 != 0
		if must := page == 0x15 || page == 0x19; must && !dirty {
			t.Errorf("guest wrote page %#x, and it is not in the log", page)
		} else if may := page <= handlers>>12; dirty && !must && !may { // tables and code: the CPU touched those
			t.Errorf("page %#x is in the log, and nobody in the guest touched it", page)
		}
	}
	if device := g.mem.TakeDirty(0); device[0] != 1<<0x12|1<<0x13 {
		t.Errorf("device wrote %#x", device)
	}
	if got, err = log.Dirty(0); err != nil || slices.ContainsFunc(got, func(w uint64) bool { return w != 0 }) {
		t.Errorf("second time: %v, %v", got, err)
	}
	if got, err = log.Dirty(1); err != nil || len(got) != 1 || got[0] != 0 {
		t.Errorf("the other region: %v, %v", got, err)
	}
	if _, err = log.Dirty(2); err == nil {
		t.Error("a region that is not there has a log")
	}
	if err := log.SetDirtyLog(false); err != nil {
		t.Error(err)
	}
}

// testDoorbell stores in all widths to an address with an event, then again without.
func testDoorbell(t *testing.T, b hv.Backend) {
	g := newGuest(t, b, 1, doorbell)
	events, ok := g.vm.(hv.Events)
	if !ok {
		t.Skip("no events")
	}
	v := g.vcpu(0)
	e, err := events.NewEvent()
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	detach, err := events.Attach(e, mmioBase)
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err)
	} else if err != nil {
		t.Fatal(err)
	}
	if _, err := events.Attach(e, mmioBase); err == nil {
		t.Error("attached twice to one address")
	}
	g.enter(v, longMode, codeAt)
	for i := range 4 {
		port := uint64(portShow)
		if i == 3 {
			port = portDone
		}
		g.wantOut(v, port, 1) // and no MMIO exit before it
		if !e.Wait() {
			t.Fatalf("store of %d bytes: the event is closed", 1<<i)
		}
	}
	if err := detach(); err != nil {
		t.Fatal(err)
	}
	if err := detach(); err != nil {
		t.Errorf("second detach: %v", err)
	}
	g.enter(v, longMode, codeAt)
	for i := range 4 {
		exit := g.want(v, hv.ExitMMIO)
		if exit.Addr != mmioBase || !exit.Write || len(exit.Data) != 1<<i {
			t.Errorf("store of %d bytes: %d bytes at %#x", 1<<i, len(exit.Data), exit.Addr)
		}
		g.want(v, hv.ExitPort)
	}
}

// testDoorbellClose: rings are remembered, Close wakes whoever waits, and an event that is closed while it is attached
// keeps swallowing the guest's stores until it is detached.
func testDoorbellClose(t *testing.T, b hv.Backend) {
	g := newGuest(t, b, 1, doorbell)
	events, ok := g.vm.(hv.Events)
	if !ok {
		t.Skip("no events")
	}
	for range 100 {
		e, err := events.NewEvent()
		if err != nil {
			t.Fatal(err)
		}
		e.Ring()
		e.Ring()
		if !e.Wait() {
			t.Fatal("closed, but it is not")
		}
		woken := make(chan bool)
		go func() { woken <- e.Wait() }()
		g.check(e.Close())
		if <-woken {
			t.Fatal("woken as if it rang")
		}
		e.Ring()
		if e.Wait() {
			t.Fatal("rang after close")
		}
		g.check(e.Close())
	}
	v := g.vcpu(0)
	e, err := events.NewEvent()
	if err != nil {
		t.Fatal(err)
	}
	detach, err := events.Attach(e, mmioBase)
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err)
	} else if err != nil {
		t.Fatal(err)
	}
	g.check(e.Close())
	if _, err := events.Attach(e, mmioBase+0x100); err == nil {
		t.Error("a closed event was attached")
	}
	g.enter(v, longMode, codeAt)
	g.wantOut(v, portShow, 1)
	g.check(detach())
	g.want(v, hv.ExitMMIO)
}
