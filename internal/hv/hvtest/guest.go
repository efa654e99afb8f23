package hvtest

import (
	"encoding/binary"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/husk-vm/husk/internal/guestmem"
	"github.com/husk-vm/husk/internal/hv"
)

// The guest's address space. RAM is identity-mapped, and so are the gigabyte of the second region and the one below
// 4 GiB, where the local APIC is and where accesses leave the guest.
const (
	ramSize   = 0x20_0000
	ram2Base  = 0x4000_0000
	ram2Size  = 0x1_0000
	pml4      = 0x1000
	pdpt      = 0x2000
	pd0       = 0x3000
	pd1       = 0x4000
	gdt       = 0x5000
	idt       = 0x6000
	pd3       = 0x7000
	codeAt    = 0x8000
	handlers  = 0x9000  // 16 bytes each
	apCodeAt  = 0xa000  // vector 0x0a of a SIPI
	ipiCodeAt = 0xb000  //
	dataAt    = 0x10000 // read and written by guests
	stackTop  = 0x20000

	mmioBase  = 0xd000_0000
	lapicBase = 0xfee0_0000
)

// The ports that guests talk through.
const (
	portShow  = 0x20
	portDone  = 0x21
	portIRQ   = 0x22
	portStorm = 0x23
	portAP    = 0x24
	portIn    = 0x30
	portCOM   = 0x3f8

	portPosted  = 0x40 // four ports that tests post
	portPosted1 = 0x44 // the same for processor 1
)

const (
	codeSelector = 0x08
	dataSelector = 0x10
	firstVector  = 0x40 // of the interrupt handlers: one for each number up to 0x7f, and for exceptions
	lastVector   = 0x7f
)

// patience is how long a guest of a few instructions may take on the slowest back end of a busy machine. Whoever
// exceeds it hangs.
const patience = 20 * time.Second

// guest is one VM with the address space above.
type guest struct {
	t   testing.TB
	b   hv.Backend
	mem *guestmem.Memory
	vm  hv.VM
}

// newGuest makes a VM whose code begins with program. The calling goroutine is locked to its thread until the test ends.
func newGuest(t testing.TB, b hv.Backend, cpus int, program []byte) *guest {
	t.Helper()
	runtime.LockOSThread()
	t.Cleanup(runtime.UnlockOSThread)
	g := &guest{t: t, b: b}
	var err error
	g.mem, err = guestmem.New([]guestmem.Region{{Size: ramSize}, {Base: ram2Base, Size: ram2Size}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { g.check(g.mem.Close()) })
	g.writeTables()
	g.write(codeAt, program)
	if g.vm, err = b.NewVM(g.mem, hv.Config{CPUs: cpus}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { g.check(g.vm.Close()) })
	return g
}

// check reports an error without ending the goroutine: it may be called from any.
func (g *guest) check(err error) bool {
	g.t.Helper()
	if err != nil {
		g.t.Error(err)
	}
	return err == nil
}

func (g *guest) write(a guestmem.GPA, p []byte) {
	g.t.Helper()
	r, err := g.mem.Range(a, uint64(len(p)))
	if err == nil {
		err = r.Write(0, p)
	}
	if err != nil {
		g.t.Fatal(err)
	}
}

func (g *guest) read(a guestmem.GPA, n int) []byte {
	g.t.Helper()
	p := make([]byte, n)
	r, err := g.mem.Range(a, uint64(n))
	if err == nil {
		err = r.Read(0, p)
	}
	if err != nil {
		g.t.Fatal(err)
	}
	return p
}

// writeTables writes page tables, descriptor tables and interrupt handlers.
func (g *guest) writeTables() {
	const table, page = 0x27, 0xe7 // [SDM vol. 3A §4.5.4]: P, R/W, U/S, A; and D, PS
	quad := func(a guestmem.GPA, v uint64) { g.write(a, binary.LittleEndian.AppendUint64(nil, v)) }
	quad(pml4, pdpt|table)
	quad(pdpt, pd0|table)
	quad(pdpt+8, pd1|table)
	quad(pdpt+3*8, pd3|table)
	quad(pd0, 0|page)
	quad(pd1, ram2Base|page)
	for i := range uint64(512) {
		quad(guestmem.GPA(pd3+8*i), 0xc000_0000+i<<21|page)
	}
	quad(gdt+codeSelector, 0x00af_9b00_0000_ffff) // [SDM vol. 3A §3.4.5]: 64-bit code, level 0
	quad(gdt+dataSelector, 0x00cf_9300_0000_ffff)
	for v := range uint64(lastVector + 1) {
		at := handlers + 16*v
		if v >= 32 && v < firstVector {
			continue
		}
		if v >= firstVector {
			at = handlers + 16*(v-firstVector+32)
		}
		handler := slices.Clone(isr)
		handler[1] = byte(v)
		g.write(guestmem.GPA(at), handler)
		// [SDM vol. 3A §6.14.1]: an interrupt gate; all addresses are below 64 KiB.
		quad(guestmem.GPA(idt+16*v), at&0xffff|codeSelector<<16|0x8e00<<32)
	}
}

// vcpu makes a vCPU on the calling thread and tells it its CPUID. It is closed at the end of the test.
func (g *guest) vcpu(id int) hv.X86VCPU {
	g.t.Helper()
	v, err := g.newVCPU(id)
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { g.check(v.Close()) })
	return v
}

// newVCPU is vcpu for goroutines that must not end the test.
func (g *guest) newVCPU(id int) (hv.X86VCPU, error) {
	v, err := g.vm.NewVCPU(id)
	if err != nil {
		return nil, err
	}
	x, ok := v.(hv.X86VCPU)
	if !ok {
		_ = v.Close()
		g.t.Skip("not a back end for x86-64 guests")
	}
	if b, ok := g.b.(hv.X86Backend); ok {
		leaves, err := b.SupportedCPUID()
		if err == nil {
			err = x.SetCPUID(withAPICID(leaves, uint32(id)))
		}
		if err != nil {
			_ = v.Close()
			return nil, err
		}
	}
	return x, nil
}

// withAPICID gives the leaves that name the processor its number [SDM vol. 2A, CPUID].
func withAPICID(leaves []hv.CPUIDEntry, id uint32) []hv.CPUIDEntry {
	out := slices.Clone(leaves)
	for i := range out {
		switch out[i].Leaf {
		case 0x1:
			out[i].EBX = out[i].EBX&0x00ff_ffff | id<<24
		case 0xb, 0x1f:
			out[i].EDX = id
		}
	}
	return out
}

// run enters the guest until its next exit. A guest that hangs fails the test.
func (g *guest) run(v hv.VCPU, exit *hv.Exit) {
	g.t.Helper()
	watchdog := time.AfterFunc(patience, v.Kick)
	err := v.Run(exit)
	if !watchdog.Stop() {
		g.t.Fatalf("no exit within %v", patience)
	}
	if err != nil {
		g.t.Fatal(err)
	}
	if exit.Kind == hv.ExitFailed {
		g.t.Fatal(exit.Err)
	}
}

// want runs to the next exit, which must be of the given kind.
func (g *guest) want(v hv.VCPU, kind hv.ExitKind) hv.Exit {
	g.t.Helper()
	var exit hv.Exit
	g.run(v, &exit)
	if exit.Kind != kind {
		g.t.Fatalf("exit %v at %#x (write %v, data % x), want %v", exit.Kind, exit.Addr, exit.Write, exit.Data, kind)
	}
	return exit
}

// wantOut runs to the next exit, which must be one write to a port, and returns what was written.
func (g *guest) wantOut(v hv.VCPU, port uint64, size int) uint64 {
	g.t.Helper()
	exit := g.want(v, hv.ExitPort)
	if exit.Addr != port || !exit.Write || exit.Size != size || len(exit.Data) != size {
		g.t.Fatalf("port %#x, write %v, size %d, data % x; want one write of %d bytes to %#x",
			exit.Addr, exit.Write, exit.Size, exit.Data, size, port)
	}
	return number(exit.Data)
}

// answerIn runs to the next exit, which must be one read of a port, and answers it.
func (g *guest) answerIn(v hv.VCPU, port uint64, size int, answer uint64) {
	g.t.Helper()
	exit := g.want(v, hv.ExitPort)
	if exit.Addr != port || exit.Write || exit.Size != size || len(exit.Data) != size {
		g.t.Fatalf("port %#x, write %v, size %d, %d bytes; want one read of %d bytes from %#x",
			exit.Addr, exit.Write, exit.Size, len(exit.Data), size, port)
	}
	putNumber(exit.Data, answer)
}

// regs settles the vCPU and reads its registers.
func (g *guest) regs(v hv.X86VCPU) hv.X86Regs {
	g.t.Helper()
	var r hv.X86Regs
	if err := v.Settle(); err != nil {
		g.t.Fatal(err)
	}
	if err := v.Regs(&r); err != nil {
		g.t.Fatal(err)
	}
	return r
}

// number reads up to eight little-endian bytes.
func number(p []byte) uint64 {
	var b [8]byte
	copy(b[:], p)
	return binary.LittleEndian.Uint64(b[:])
}

// putNumber writes the low bytes of n, little-endian, as many as p has.
func putNumber(p []byte, n uint64) {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], n)
	copy(p, b[:])
}
