package hvtest

import (
	"bytes"
	"errors"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/husk-vm/husk/internal/hv"
)

// poster returns the guest's VM as one that posts writes, or skips.
func poster(t *testing.T, g *guest, post func(hv.PostedWrites) error) hv.PostedWrites {
	t.Helper()
	p, ok := g.vm.(hv.PostedWrites)
	if !ok {
		t.Skip("no posted writes")
	}
	err := post(p)
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// postedGuest is a guest whose ports portPosted.. are posted, and its vCPU 0 about to run program.
func postedGuest(t *testing.T, b hv.Backend, program []byte) (*guest, hv.X86VCPU, hv.PostedWrites) {
	t.Helper()
	g := newGuest(t, b, 1, program)
	p := poster(t, g, func(p hv.PostedWrites) error { return p.PostPort(portPosted, 4) })
	v := g.vcpu(0)
	g.enter(v, longMode, codeAt)
	return g, v, p
}

// taken copies what TakePosted serves.
func taken(p hv.PostedWrites) []hv.Exit {
	var all []hv.Exit
	p.TakePosted(func(e *hv.Exit) {
		c := *e
		c.Data = bytes.Clone(e.Data)
		all = append(all, c)
	})
	return all
}

// isPost reports whether e is one posted access of the given kind, address, size and value.
func isPost(e hv.Exit, kind hv.ExitKind, addr uint64, size int, value uint64) bool {
	return e.Kind == kind && e.Write && e.Addr == addr && e.Size == size && len(e.Data) == size && number(e.Data) == value
}

// testPostedPorts: each exit finds exactly the write before it.
func testPostedPorts(t *testing.T, b hv.Backend) {
	g, v, p := postedGuest(t, b, postPorts)
	if early := taken(p); len(early) != 0 {
		t.Errorf("before the first run: %+v", early)
	}
	for i := uint64(1); i <= 500; i++ {
		if got := g.wantOut(v, portStorm, 4); got != i {
			t.Fatalf("count %d, want %d", got, i)
		}
		posts := taken(p)
		if len(posts) != 1 || !isPost(posts[0], hv.ExitPort, portPosted, 4, i) {
			t.Fatalf("before exit %d: %+v", i, posts)
		}
		if again := taken(p); len(again) != 0 {
			t.Fatalf("taken twice: %+v", again)
		}
	}
}

// testPostedMMIO: stores in the register are posted, whole and in part; its loads exit and find them.
func testPostedMMIO(t *testing.T, b hv.Backend) {
	g := newGuest(t, b, 1, postMMIO)
	p := poster(t, g, func(p hv.PostedWrites) error { return p.PostMMIO(mmioBase, 4) })
	v := g.vcpu(0)
	g.enter(v, longMode, codeAt)
	for i := uint64(1); i <= 300; i++ {
		exit := g.want(v, hv.ExitMMIO)
		if exit.Write || exit.Addr != mmioBase || len(exit.Data) != 4 {
			t.Fatalf("exit %d: write %v of %d bytes at %#x, want the load", i, exit.Write, len(exit.Data), exit.Addr)
		}
		posts := taken(p)
		if len(posts) != 2 || !isPost(posts[0], hv.ExitMMIO, mmioBase, 4, i) || !isPost(posts[1], hv.ExitMMIO, mmioBase+2, 1, i&0xff) {
			t.Fatalf("before load %d: %+v", i, posts)
		}
		putNumber(exit.Data, i)
	}
}

// testPostedBeside: what lies there only in part exits, and so do reads.
func testPostedBeside(t *testing.T, b hv.Backend) {
	g, v, p := postedGuest(t, b, besidePorts)
	for _, w := range []struct {
		port  uint64
		size  int
		value uint64
	}{{portPosted - 1, 1, 0x44}, {portPosted + 3, 2, 0x3344}, {portPosted + 4, 1, 0x44}, {portPosted + 1, 4, 0x1122_3344}} {
		if got := g.wantOut(v, w.port, w.size); got != w.value {
			t.Errorf("port %#x: %#x, want %#x", w.port, got, w.value)
		}
	}
	g.answerIn(v, portPosted, 1, 0x5a)
	if got := g.wantOut(v, portDone, 1); got != 0x5a {
		t.Errorf("guest read %#x", got)
	}
	if posts := taken(p); len(posts) != 0 {
		t.Errorf("posted: %+v", posts)
	}
	g = newGuest(t, b, 1, longMMIO)
	p = poster(t, g, func(p hv.PostedWrites) error { return p.PostMMIO(mmioBase+4, 4) })
	v = g.vcpu(0)
	g.enter(v, longMode, codeAt)
	for _, addr := range []uint64{mmioBase, mmioBase + 2, mmioBase + 8} {
		if exit := g.want(v, hv.ExitMMIO); !exit.Write || exit.Addr != addr {
			t.Errorf("write %v at %#x, want the store to %#x", exit.Write, exit.Addr, addr)
		}
	}
	if posts := taken(p); len(posts) != 1 || !isPost(posts[0], hv.ExitMMIO, mmioBase+4, 4, 0x5566_7788) {
		t.Errorf("posted: %+v", posts)
	}
}

// testPostedUntilFull: a guest that only posts exits when there is no more room, with nothing lost and nothing twice.
func testPostedUntilFull(t *testing.T, b hv.Backend) {
	g, v, p := postedGuest(t, b, postStorm)
	const most = 1 << 16 // far more than anybody keeps
	next := uint64(1)
	for range 20 {
		var exit hv.Exit
		g.run(v, &exit)
		posts := taken(p)
		if len(posts) == 0 || len(posts) > most {
			t.Fatalf("%d writes were posted", len(posts))
		}
		for _, e := range posts {
			if !isPost(e, hv.ExitPort, portPosted, 4, next) {
				t.Fatalf("%+v, want %d", e, next)
			}
			next++
		}
		if exit.Kind != hv.ExitPort || exit.Addr != portPosted || number(exit.Data) != next {
			t.Fatalf("%v, port %#x, data % x; want the write of %d", exit.Kind, exit.Addr, exit.Data, next)
		}
		next++
	}
}

// testPostedKicked: a vCPU that is kicked has posted what it wrote, and settling it adds nothing.
func testPostedKicked(t *testing.T, b hv.Backend) {
	g, v, p := postedGuest(t, b, postAndSpin)
	next := uint64(1)
	for deadline := time.Now().Add(patience); next <= 5; {
		time.AfterFunc(time.Millisecond, v.Kick) // a kick before Run would keep the guest from running at all
		g.want(v, hv.ExitKicked)
		for _, e := range taken(p) {
			if !isPost(e, hv.ExitPort, portPosted, 4, next) {
				t.Fatalf("%+v, want %d", e, next)
			}
			next++
		}
		before := next
		if r := g.regs(v); r.RAX != before-1 && r.RAX != before { // the next write may be about to come
			t.Fatalf("the guest counted to %d, %d were posted", r.RAX, before-1)
		}
		if posts := taken(p); len(posts) != 0 {
			t.Fatalf("while settled: %+v", posts)
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d of 5 writes came", next-1)
		}
	}
}

// testPostedByTwo: two vCPUs post and exit at once. Whoever comes out finds that its own last write has been served, and
// each one's writes are served in order, none twice and none lost.
func testPostedByTwo(t *testing.T, b hv.Backend) {
	g := newGuest(t, b, 2, postBoth)
	if _, ok := g.vm.(hv.X86LAPICs); !ok {
		t.Skip("local APICs are not the back end's")
	}
	p := poster(t, g, func(p hv.PostedWrites) error {
		return errors.Join(p.PostPort(portPosted, 4), p.PostPort(portPosted1, 4))
	})
	g.write(apCodeAt, postAP)
	const turns = 2000
	var mu sync.Mutex
	var served [2]uint64 // guarded by mu
	serve := func(e *hv.Exit) {
		mu.Lock()
		defer mu.Unlock()
		cpu := int(e.Addr-portPosted) / 4
		if cpu < 0 || cpu > 1 || !isPost(*e, hv.ExitPort, portPosted+4*uint64(cpu), 4, served[cpu]+1) {
			t.Errorf("%+v, want %v", e, served)
			return
		}
		served[cpu]++
	}
	count := func(cpu int, v hv.VCPU, port uint64) {
		var exit hv.Exit
		watchdog := time.AfterFunc(patience, v.Kick)
		defer watchdog.Stop()
		for i := uint64(1); i <= turns; i++ {
			if !g.check(v.Run(&exit)) {
				return
			}
			p.TakePosted(serve)
			mu.Lock()
			done := served[cpu]
			mu.Unlock()
			if exit.Kind != hv.ExitPort || exit.Addr != port || number(exit.Data) != i || done != i {
				t.Errorf("vcpu %d: %v, port %#x, data % x, served %d; want %d", cpu, exit.Kind, exit.Addr, exit.Data, done, i)
				return
			}
		}
	}
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
		count(1, v, portAP)
	})
	<-ready
	count(0, boot, portStorm)
}
