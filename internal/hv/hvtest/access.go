package hvtest

import (
	"bytes"
	"errors"
	"testing"

	"github.com/husk-vm/husk/internal/hv"
)

func testPortsIn(t *testing.T, b hv.Backend) {
	g := newGuest(t, b, 1, portsIn)
	v := g.vcpu(0)
	g.enter(v, func(r *hv.X86Regs) { longMode(r); r.RAX = 0xffff_ffff_ffff_ffff }, codeAt)
	g.answerIn(v, portIn, 1, 0x11)
	g.answerIn(v, portCOM, 2, 0x2222)
	g.answerIn(v, portCOM, 4, 0x3333_3333)
	g.wantOut(v, portDone, 1)
	r := g.regs(v)
	// Narrow reads leave the rest of the register alone; 32-bit ones clear the upper half [SDM vol. 1 §3.4.1.1].
	if r.RCX != 0xffff_ff11 || r.RSI != 0xffff_2222 || r.RDI != 0x3333_3333 {
		t.Errorf("al %#x, ax %#x, eax %#x", r.RCX, r.RSI, r.RDI)
	}
}

// testStringPorts moves 24 bytes each way with REP OUTS and INS. How many units come in one exit is the back end's
// choice; their order and number are not.
func testStringPorts(t *testing.T, b hv.Backend) {
	for _, tt := range []struct {
		name    string
		program []byte
		size    int
	}{{"bytes", stringsB, 1}, {"words", stringsW, 2}, {"dwords", stringsD, 4}} {
		t.Run(tt.name, func(t *testing.T) {
			const port, total = 0x100, 24
			g := newGuest(t, b, 1, tt.program)
			v := g.vcpu(0)
			data := []byte("the quick brown fox jump")
			g.write(dataAt, data)
			g.enter(v, longMode, codeAt)
			var out, in []byte
			for {
				exit := g.want(v, hv.ExitPort)
				if exit.Addr == portDone {
					break
				}
				if exit.Addr != port || exit.Size != tt.size || len(exit.Data) == 0 || len(exit.Data)%tt.size != 0 {
					t.Fatalf("port %#x, size %d, %d bytes", exit.Addr, exit.Size, len(exit.Data))
				}
				if exit.Write {
					out = append(out, exit.Data...)
					continue
				}
				for i := range exit.Data {
					exit.Data[i] = byte(0xc0 + len(in) + i)
				}
				in = append(in, exit.Data...)
				if len(out) != total || len(in) > total {
					t.Fatalf("%d bytes written, %d read", len(out), len(in))
				}
			}
			if !bytes.Equal(out, data) {
				t.Errorf("guest wrote %q, want %q", out, data)
			}
			if got := g.read(dataAt+0x1000, total); len(in) != total || !bytes.Equal(got, in) {
				t.Errorf("guest read % x, got % x", got, in)
			}
			if r := g.regs(v); r.RCX != 0 || r.RSI != dataAt+total || r.RDI != dataAt+0x1000+total {
				t.Errorf("rcx %#x, rsi %#x, rdi %#x", r.RCX, r.RSI, r.RDI)
			}
		})
	}
}

func testMMIO(t *testing.T, b hv.Backend) {
	g := newGuest(t, b, 1, longMMIO)
	v := g.vcpu(0)
	g.enter(v, longMode, codeAt)
	const value = 0x1122_3344_5566_7788
	for _, size := range []int{1, 2, 4, 8} {
		exit := g.want(v, hv.ExitMMIO)
		off := uint64(size)
		if size == 1 {
			off = 0
		}
		want := make([]byte, size)
		putNumber(want, value)
		if exit.Addr != mmioBase+off || !exit.Write || !bytes.Equal(exit.Data, want) {
			t.Fatalf("store of %d: at %#x, write %v, % x; want % x at %#x", size, exit.Addr, exit.Write, exit.Data, want, mmioBase+off)
		}
	}
	for i, size := range []int{1, 2, 4, 8} {
		exit := g.want(v, hv.ExitMMIO)
		if exit.Write || len(exit.Data) != size {
			t.Fatalf("load of %d: write %v, %d bytes", size, exit.Write, len(exit.Data))
		}
		putNumber(exit.Data, 0x9191_9191_9191_9191+0x0101_0101_0101_0101*uint64(i))
	}
	g.wantOut(v, portDone, 1)
	r := g.regs(v)
	if r.RAX != 0x91 || r.RCX != 0x9292 || r.RDX != 0x9393_9393 || r.RSI != 0x9494_9494_9494_9494 {
		t.Errorf("guest loaded %#x %#x %#x %#x", r.RAX, r.RCX, r.RDX, r.RSI)
	}
}

// testMMIOAcrossPages lets the back end split an access as it likes, but every byte must come once, and Settle must not
// pretend to be done in the middle.
func testMMIOAcrossPages(t *testing.T, b hv.Backend) {
	g := newGuest(t, b, 1, crossPage)
	v := g.vcpu(0)
	g.enter(v, longMode, codeAt)
	const first = mmioBase + 0xffc
	want := []byte{0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11}
	for _, write := range []bool{true, false} {
		var seen [8]int
		for served := 0; served < len(want); {
			exit := g.want(v, hv.ExitMMIO)
			off := exit.Addr - first
			if exit.Write != write || off >= 8 || len(exit.Data) == 0 || off+uint64(len(exit.Data)) > 8 {
				t.Fatalf("write %v, %d bytes at %#x", exit.Write, len(exit.Data), exit.Addr)
			}
			for i := range exit.Data {
				at := off + uint64(i)
				seen[at]++
				if write && exit.Data[i] != want[at] {
					t.Errorf("byte %d: stored %#x, want %#x", at, exit.Data[i], want[at])
				} else if !write {
					exit.Data[i] = 0xa0 + byte(at)
				}
			}
			served += len(exit.Data)
			switch err := v.Settle(); {
			case served < len(want) && !errors.Is(err, hv.ErrUnsettled):
				t.Fatalf("settled after %d of 8 bytes: %v", served, err)
			case served == len(want) && err != nil:
				t.Fatalf("all bytes served: %v", err)
			}
		}
		if seen != [8]int{1, 1, 1, 1, 1, 1, 1, 1} {
			t.Errorf("write %v: bytes came %v times", write, seen)
		}
	}
	g.wantOut(v, portDone, 1)
	if r := g.regs(v); r.RCX != 0xa7a6_a5a4_a3a2_a1a0 {
		t.Errorf("guest loaded %#x", r.RCX)
	}
}

func testUnmappedRead(t *testing.T, b hv.Backend) {
	g := newGuest(t, b, 1, readHole)
	v := g.vcpu(0)
	g.enter(v, longMode, codeAt)
	exit := g.want(v, hv.ExitMMIO)
	if exit.Write || exit.Addr != mmioBase+0x123 || len(exit.Data) != 4 {
		t.Fatalf("write %v, %d bytes at %#x", exit.Write, len(exit.Data), exit.Addr)
	}
	putNumber(exit.Data, 0xffff_ffff)
	g.wantOut(v, portDone, 1)
	if r := g.regs(v); r.RAX != 0xffff_ffff {
		t.Errorf("guest loaded %#x", r.RAX)
	}
}

// testSettle stops in the middle of a load and looks at the registers.
func testSettle(t *testing.T, b hv.Backend) {
	g := newGuest(t, b, 1, readHole)
	v := g.vcpu(0)
	g.enter(v, longMode, codeAt)
	if r := g.regs(v); r.RIP != codeAt {
		t.Errorf("nothing to settle: rip %#x", r.RIP)
	}
	exit := g.want(v, hv.ExitMMIO)
	putNumber(exit.Data, 0x1234_5678)
	for range 2 { // the second has nothing to do
		if r := g.regs(v); r.RAX != 0x1234_5678 || r.RIP != codeAt+11 {
			t.Errorf("settled: rax %#x, rip %#x; want 0x12345678, %#x", r.RAX, r.RIP, codeAt+11)
		}
	}
	g.wantOut(v, portDone, 1)
}
