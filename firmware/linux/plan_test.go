package linux

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
)

// machine4G is 4 GiB of RAM around the hole below 4 GiB, with an ECAM in the hole.
func machine4G() Params {
	return Params{
		RAM:      []Region{{0, 3 * gib}, {fourGiB, 1 * gib}},
		Reserved: []MemRange{{Region{0xe0000000, mib}, MemReserved}},
		Cmdline:  "console=hvc0",
		RSDP:     0xe0000,
	}
}

func mustPlan(t testing.TB, k *Kernel, p Params) *Plan {
	t.Helper()
	plan, err := k.Plan(p)
	if err != nil {
		t.Fatal(err)
	}
	checkPlan(t, k, &p, plan)
	return plan
}

// checkPlan holds a plan to what every plan promises.
func checkPlan(t testing.TB, k *Kernel, p *Params, plan *Plan) {
	t.Helper()
	ram, err := newRegions("RAM", p.RAM)
	if err != nil {
		t.Fatalf("planned with bad RAM: %v", err)
	}
	usable := ram.without(Region{legacyBase, legacyEnd - legacyBase})
	for _, r := range p.Reserved {
		usable = usable.without(r.Region)
	}
	heap := 0
	for i, s := range plan.Segments {
		if s.Size() == 0 || !usable.contains(s.Region()) {
			t.Errorf("%s %v is not in usable RAM %v", s.Name, s.Region(), usable)
		}
		for _, o := range plan.Segments[:i] {
			if s.Region().overlaps(o.Region()) {
				t.Errorf("%s %v overlaps %s %v", s.Name, s.Region(), o.Name, o.Region())
			}
		}
		if s.Name == "kernel" && !plan.Kernel.contains(s.Region()) {
			t.Errorf("segment %v lies outside the kernel %v", s.Region(), plan.Kernel)
		}
		// An ELF kernel may leave gaps; a bzImage unpacks itself into all of its memory.
		if s.Name != "kernel" && k.info.Format == FormatBzImage && s.Region().overlaps(plan.Kernel) {
			t.Errorf("%s %v lies in the kernel's memory %v", s.Name, s.Region(), plan.Kernel)
		}
		heap += len(s.Data)
		var last [1]byte
		if n, err := s.ReadAt(last[:], int64(s.Size()-1)); n != 1 || err != nil {
			t.Errorf("%s: last byte: %d, %v", s.Name, n, err)
		}
	}
	if k.info.Format == FormatBzImage && !usable.contains(plan.Kernel) {
		t.Errorf("kernel %v is not in usable RAM %v", plan.Kernel, usable)
	}
	if heap > 256<<10 {
		t.Errorf("plan holds %d bytes", heap)
	}
	if !slices.ContainsFunc(plan.Segments, func(s Segment) bool {
		return s.Name == "kernel" && plan.Entry.RIP >= s.Addr && plan.Entry.RIP-s.Addr < s.fileSize()
	}) {
		t.Errorf("entry point %#x lies in no kernel segment", plan.Entry.RIP)
	}
	checkMap(t, p, plan.Map, ram)
	checkEntry(t, plan)
}

// checkMap holds the memory map to being sorted, disjoint and true.
func checkMap(t testing.TB, p *Params, m []MemRange, ram regions) {
	t.Helper()
	if len(m) > e820Max-1 {
		t.Errorf("%d entries in the memory map", len(m))
	}
	var total uint64
	for i, r := range m {
		if !r.valid() || i > 0 && r.Base < m[i-1].End() {
			t.Errorf("entry %d of the memory map: %v", i, r)
		}
		if r.Type != MemRAM {
			continue
		}
		total += r.Size
		if !ram.contains(r.Region) {
			t.Errorf("the memory map has RAM at %v", r)
		}
		for _, res := range p.Reserved {
			if r.overlaps(res.Region) {
				t.Errorf("RAM %v in the memory map overlaps reserved %v", r, res)
			}
		}
	}
	var usable uint64
	rest := ram.without(Region{legacyBase, legacyEnd - legacyBase})
	for _, r := range p.Reserved {
		rest = rest.without(r.Region)
	}
	for _, r := range rest {
		usable += r.Size
	}
	if total != usable {
		t.Errorf("the memory map has %d bytes of RAM, there are %d", total, usable)
	}
}

// checkEntry follows the registers to what they point at.
func checkEntry(t testing.TB, plan *Plan) {
	t.Helper()
	e := plan.Entry
	gdt := guestBytes(t, plan, e.GDTBase, uint64(e.GDTLimit)+1)
	for _, s := range []SegmentReg{e.CS, e.DS, e.TR} {
		if got := le.Uint64(gdt[s.Selector:]); got != s.descriptor() || got>>47&1 == 0 {
			t.Errorf("selector %#x: descriptor %#x, want %#x", s.Selector, got, s.descriptor())
		}
	}
	switch e.Mode {
	case Protected32:
		if e.CR0 != cr0PE|cr0ET || e.CR3 != 0 || e.CR4 != 0 || e.EFER != 0 || !e.CS.DB || e.CS.L {
			t.Errorf("entry %+v", e)
		}
		if magic := le.Uint32(guestBytes(t, plan, e.RBX, pvhInfoSize)); magic != pvhMagic {
			t.Errorf("start info begins with %#x", magic)
		}
	case Long64:
		if e.CR0 != cr0PE|cr0ET|cr0PG || e.CR4 != cr4PAE || e.EFER != eferLME|eferLMA || !e.CS.L || e.CS.DB {
			t.Errorf("entry %+v", e)
		}
		for _, s := range plan.Segments {
			for _, a := range []uint64{s.Addr, s.Addr + s.Size() - 1} {
				if got, ok := translate(t, plan, a); !ok || got != a {
					t.Errorf("%s: address %#x is mapped to %#x, %v", s.Name, a, got, ok)
				}
			}
		}
	default:
		t.Errorf("mode %d", e.Mode)
	}
}

// guestBytes reads what a plan puts at addr.
func guestBytes(t testing.TB, plan *Plan, addr, n uint64) []byte {
	t.Helper()
	for _, s := range plan.Segments {
		if s.Region().contains(Region{addr, n}) {
			b := make([]byte, n)
			if _, err := s.ReadAt(b, int64(addr-s.Addr)); err != nil {
				t.Fatal(err)
			}
			return b
		}
	}
	t.Fatalf("nothing at %#x", addr)
	return nil
}

// translate walks the page tables as a CPU does [SDM vol. 3A §4.5].
func translate(t testing.TB, plan *Plan, linear uint64) (uint64, bool) {
	t.Helper()
	table := plan.Entry.CR3
	for shift := 39; ; shift -= 9 {
		entry := le.Uint64(guestBytes(t, plan, table+linear>>shift%entries*8, 8))
		switch {
		case entry&3 != 3:
			return 0, false
		case shift == 21:
			return entry&^(largeSize-1)&(maxPhys-1) | linear%largeSize, entry&(1<<7) != 0
		}
		table = entry &^ 0xfff
	}
}

func TestPlanBzImage(t *testing.T) {
	file := append(bzFile(), "signature"...)
	p := machine4G()
	p.Initrd = sparse(5*mib + 1)
	p.Seed = bytes.Repeat([]byte{7}, seedMax)
	plan := mustPlan(t, mustParse(t, file), p)

	e := plan.Entry
	if e.Mode != Long64 || e.RIP != bzPrefer+0x200 || e.RSI != zeroPageBase || e.CR3 != pageTableBase || e.RFLAGS != 2 || e.RSP != stackBase+stackSize {
		t.Errorf("entry %+v", e)
	}
	if want := (Region{bzPrefer, bzInit}); plan.Kernel != want {
		t.Errorf("kernel %v, want %v", plan.Kernel, want)
	}
	if got := guestBytes(t, plan, bzPrefer, payloadSize); !bytes.Equal(got, file[bzSetup:bzSetup+payloadSize]) {
		t.Error("the kernel is not the protected-mode part of the file")
	}
	if want := (Region{2*gib - 6*mib + mib - page, 5*mib + 1}); plan.Initrd != want {
		t.Errorf("initrd %v, want %v", plan.Initrd, want)
	}
	if got := guestBytes(t, plan, cmdlineBase, 13); string(got) != "console=hvc0\x00" {
		t.Errorf("command line %q", got)
	}

	zp := guestBytes(t, plan, zeroPageBase, zeroPageSize)
	if !bytes.Equal(zp[:zpRSDP], make([]byte, zpRSDP)) {
		t.Error("screen info is not empty")
	}
	if got := zp[0x1ef]; got != 0 {
		t.Errorf("sentinel %#x", got) // else the kernel takes the zero page for a copy of the whole boot sector
	}
	// Outside these fields the header is the image's own.
	want := slices.Clone(file[hdrStart:hdrMax])
	for _, f := range []struct{ off, size int }{
		{offTypeOfLoader, 1}, {offCode32Start, 4}, {offRamdiskImage, 4}, {offRamdiskSize, 4}, {offCmdLinePtr, 4}, {offSetupData, 8},
	} {
		copy(want[f.off-hdrStart:], zp[f.off:f.off+f.size])
	}
	clear(want[offHeader+0x6a-hdrStart:])
	if !bytes.Equal(zp[hdrStart:hdrMax], want) {
		t.Errorf("setup header\n% x, want\n% x", zp[hdrStart:hdrMax], want)
	}
	for _, f := range []struct {
		name      string
		got, want uint64
	}{
		{"acpi_rsdp_addr", le.Uint64(zp[zpRSDP:]), 0xe0000},
		{"type_of_loader", uint64(zp[offTypeOfLoader]), 0xff},
		{"code32_start", uint64(le.Uint32(zp[offCode32Start:])), bzPrefer},
		{"ramdisk_image", uint64(le.Uint32(zp[offRamdiskImage:])), plan.Initrd.Base},
		{"ramdisk_size", uint64(le.Uint32(zp[offRamdiskSize:])), 5*mib + 1},
		{"ext_ramdisk_image", uint64(le.Uint32(zp[zpExtRamdisk:])), 0},
		{"ext_ramdisk_size", uint64(le.Uint32(zp[zpExtRamdiskSz:])), 0},
		{"cmd_line_ptr", uint64(le.Uint32(zp[offCmdLinePtr:])), cmdlineBase},
		{"setup_data", le.Uint64(zp[offSetupData:]), setupDataBase},
		{"e820_entries", uint64(zp[zpE820Entries]), uint64(len(plan.Map))},
	} {
		if f.got != f.want {
			t.Errorf("%s = %#x, want %#x", f.name, f.got, f.want)
		}
	}
	for i, r := range plan.Map {
		b := zp[zpE820Table+20*i:]
		if le.Uint64(b) != r.Base || le.Uint64(b[8:]) != r.Size || MemType(le.Uint32(b[16:])) != r.Type {
			t.Errorf("e820 entry %d: % x, want %v", i, b[:20], r)
		}
	}
	seed := guestBytes(t, plan, setupDataBase, 16+seedMax)
	if le.Uint64(seed) != 0 || le.Uint32(seed[8:]) != 9 || le.Uint32(seed[12:]) != seedMax || !bytes.Equal(seed[16:], p.Seed) {
		t.Errorf("seed % x", seed)
	}
}

func TestPlanMap(t *testing.T) {
	p := machine4G()
	p.Reserved = append(p.Reserved, MemRange{Region{0xf0000, 0x8000}, MemACPI}, MemRange{Region{0x40000000, page}, MemNVS})
	plan := mustPlan(t, mustParse(t, bzFile()), p)
	want := []MemRange{
		{Region{0, 0x9fc00}, MemRAM},
		{Region{0x9fc00, 0xf0000 - 0x9fc00}, MemReserved},
		{Region{0xf0000, 0x8000}, MemACPI},
		{Region{0xf8000, 0x8000}, MemReserved},
		{Region{0x100000, 0x3ff00000}, MemRAM},
		{Region{0x40000000, 0x1000}, MemNVS},
		{Region{0x40001000, 0x7ffff000}, MemRAM},
		{Region{0xe0000000, 0x100000}, MemReserved},
		{Region{0x100000000, 0x40000000}, MemRAM},
	}
	if !slices.Equal(plan.Map, want) {
		t.Errorf("map\n%v, want\n%v", plan.Map, want)
	}
}

func TestPlanELF(t *testing.T) {
	for _, tt := range []struct {
		name   string
		file   []byte
		prefer Preference
		mode   Mode
		rip    uint64
	}{
		{"64-bit", vmlinux(), EntryAuto, Long64, elfBase + 0x100},
		{"PVH by default", pvhLinux(), EntryAuto, Protected32, elfBase + 0x200},
		{"PVH wanted", pvhLinux(), EntryPVH, Protected32, elfBase + 0x200},
		{"64-bit wanted", pvhLinux(), Entry64, Long64, elfBase + 0x100},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := machine4G()
			p.Entry, p.Initrd = tt.prefer, sparse(3*page)
			plan := mustPlan(t, mustParse(t, tt.file), p)
			if plan.Entry.Mode != tt.mode || plan.Entry.RIP != tt.rip {
				t.Errorf("entry %+v", plan.Entry)
			}
			if want := (Region{elfBase, 3 * mib}); plan.Kernel != want {
				t.Errorf("kernel %v, want %v", plan.Kernel, want)
			}
			if want := (Region{3*gib - 3*page, 3 * page}); plan.Initrd != want {
				t.Errorf("initrd %v, want %v", plan.Initrd, want)
			}
			data := guestBytes(t, plan, elfBase+2*mib, mib)
			if !bytes.Equal(data[:100], bytes.Repeat([]byte{1}, 100)) || slices.Max(data[100:]) != 0 {
				t.Error("data and bss are not what the file says")
			}
			if tt.mode == Protected32 {
				checkStartInfo(t, plan, &p)
				return
			}
			zp := guestBytes(t, plan, zeroPageBase, zeroPageSize)
			if le.Uint16(zp[offBootFlag:]) != bootFlag || string(zp[offHeader:offHeader+4]) != "HdrS" ||
				le.Uint32(zp[offAlignment:]) != elfAlignment || le.Uint32(zp[offCmdlineSize:]) != 2047 || zp[offTypeOfLoader] != 0xff {
				t.Errorf("setup header % x", zp[hdrStart:hdrMax])
			}
		})
	}
}

// checkStartInfo reads the PVH structures as a kernel does.
func checkStartInfo(t *testing.T, plan *Plan, p *Params) {
	t.Helper()
	b := guestBytes(t, plan, plan.Entry.RBX, pvhInfoSize)
	if le.Uint32(b[4:]) != 1 || le.Uint32(b[8:]) != 0 || le.Uint32(b[12:]) != 1 || le.Uint64(b[24:]) != cmdlineBase || le.Uint64(b[32:]) != p.RSDP {
		t.Errorf("start info % x", b)
	}
	mod := guestBytes(t, plan, le.Uint64(b[16:]), pvhModSize)
	if le.Uint64(mod) != plan.Initrd.Base || le.Uint64(mod[8:]) != plan.Initrd.Size || le.Uint64(mod[16:]) != 0 {
		t.Errorf("module % x", mod)
	}
	if n := le.Uint32(b[48:]); int(n) != len(plan.Map) {
		t.Errorf("%d map entries, want %d", n, len(plan.Map))
	}
	for i, r := range plan.Map {
		m := guestBytes(t, plan, le.Uint64(b[40:])+uint64(i)*pvhMapSize, pvhMapSize)
		if le.Uint64(m) != r.Base || le.Uint64(m[8:]) != r.Size || MemType(le.Uint32(m[16:])) != r.Type {
			t.Errorf("map entry %d: % x, want %v", i, m, r)
		}
	}
}

// TestPlanPlaces shows where kernels and initrds go.
func TestPlanPlaces(t *testing.T) {
	low := func(size uint64) []Region { return []Region{{0, size}} }
	for _, tt := range []struct {
		name           string
		file           []byte
		ram            []Region
		reserved       []MemRange
		initrd         int64
		kernel, loaded Region
	}{
		{"smallest", bzFile(), low(20 * mib), nil, 0, Region{16 * mib, bzInit}, Region{}},
		{"moved above a reserved page", bzFile(), low(64 * mib), []MemRange{{Region{18 * mib, page}, MemReserved}}, 0, Region{20 * mib, bzInit}, Region{}},
		{"moved and aligned", bzFile(set32(offAlignment, 16*mib)), low(64 * mib), []MemRange{{Region{18 * mib, page}, MemReserved}}, 0, Region{32 * mib, bzInit}, Region{}},
		{"fixed", bzFile(set8(offRelocatable, 0), set32(offAlignment, 0)), low(64 * mib), nil, 0, Region{16 * mib, bzInit}, Region{}},
		{"preferred below 1 MiB", bzFile(set64(offPrefAddress, 0)), low(64 * mib), nil, 0, Region{2 * mib, bzInit}, Region{}},
		{"above 4 GiB", bzFile(set64(offPrefAddress, fourGiB)), []Region{{0, gib}, {fourGiB, gib}}, nil, 0, Region{fourGiB, bzInit}, Region{}},
		{"initrd at the end of RAM", bzFile(), low(64 * mib), nil, 3*page + 1, Region{16 * mib, bzInit}, Region{64*mib - 4*page, 3*page + 1}},
		{"initrd below the kernel", bzFile(), low(20 * mib), nil, 15 * mib, Region{16 * mib, bzInit}, Region{mib, 15 * mib}},
		{"initrd below a reserved page", bzFile(), low(64 * mib), []MemRange{{Region{60 * mib, page}, MemNVS}}, 8 * mib, Region{16 * mib, bzInit}, Region{52 * mib, 8 * mib}},
		{"initrd below initrd_addr_max", bzFile(set32(offInitrdMax, 0x37ffffff)), low(3 * gib), nil, page, Region{16 * mib, bzInit}, Region{0x37fff000, page}},
		{"initrd above 4 GiB", bzFile(), []Region{{0, 64 * mib}, {fourGiB, 2 * gib}}, nil, 48 * mib, Region{16 * mib, bzInit}, Region{6*gib - 48*mib, 48 * mib}},
		{"initrd of 5 GiB above 4 GiB", vmlinux(), []Region{{0, gib}, {fourGiB, 8 * gib}}, nil, 5 * gib, Region{elfBase, 3 * mib}, Region{7 * gib, 5 * gib}},
		{"initrd beyond 512 GiB", bzFile(), []Region{{0, 64 * mib}, {513 * gib, gib}}, nil, 50 * mib, Region{16 * mib, bzInit}, Region{514*gib - 50*mib, 50 * mib}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := Params{RAM: tt.ram, Reserved: tt.reserved}
			if tt.initrd > 0 {
				p.Initrd = sparse(tt.initrd)
			}
			plan := mustPlan(t, mustParse(t, tt.file), p)
			if plan.Kernel != tt.kernel || plan.Initrd != tt.loaded {
				t.Errorf("kernel %v, initrd %v; want %v, %v", plan.Kernel, plan.Initrd, tt.kernel, tt.loaded)
			}
			if tt.initrd > 0 {
				zp := guestBytes(t, plan, zeroPageBase, zeroPageSize)
				base := uint64(le.Uint32(zp[zpExtRamdisk:]))<<32 | uint64(le.Uint32(zp[offRamdiskImage:]))
				size := uint64(le.Uint32(zp[zpExtRamdiskSz:]))<<32 | uint64(le.Uint32(zp[offRamdiskSize:]))
				if (Region{base, size}) != tt.loaded {
					t.Errorf("the kernel is told of an initrd at %v", Region{base, size})
				}
			}
		})
	}
}

func TestPlanRefuses(t *testing.T) {
	for _, tt := range []struct {
		name   string
		file   []byte
		change func(*Params)
		want   error
		text   string
	}{
		{"no RAM", bzFile(), func(p *Params) { p.RAM = nil }, ErrBadParams, "boot structures need RAM"},
		{"RAM not at 0", bzFile(), func(p *Params) { p.RAM = []Region{{mib, gib}} }, ErrBadParams, "boot structures need RAM"},
		{"low RAM reserved", bzFile(), func(p *Params) { p.Reserved = []MemRange{{Region{0x7000, 16}, MemReserved}} }, ErrBadParams, "boot structures need RAM"},
		{"RAM overlaps", bzFile(), func(p *Params) { p.RAM = []Region{{0, gib}, {gib - 1, gib}} }, ErrBadParams, "overlaps"},
		{"RAM wraps", bzFile(), func(p *Params) { p.RAM = []Region{{0, gib}, {1<<64 - page, 2 * page}} }, ErrBadParams, "above the address space"},
		{"empty RAM", bzFile(), func(p *Params) { p.RAM = []Region{{0, gib}, {fourGiB, 0}} }, ErrBadParams, "is empty"},
		{"too many regions", bzFile(), func(p *Params) { p.RAM = make([]Region, maxRegions+1) }, ErrBadParams, "more than 24"},
		{"reserved overlap", bzFile(), func(p *Params) { p.Reserved = append(p.Reserved, p.Reserved[0]) }, ErrBadParams, "reserved region"},
		{"reserved as RAM", bzFile(), func(p *Params) { p.Reserved[0].Type = MemRAM }, ErrBadParams, "memory type 1"},
		{"reserved as nonsense", bzFile(), func(p *Params) { p.Reserved[0].Type = 6 }, ErrBadParams, "memory type 6"},
		{"seed too long", bzFile(), func(p *Params) { p.Seed = make([]byte, seedMax+1) }, ErrBadParams, "seed of 65 bytes"},
		{"no such preference", bzFile(), func(p *Params) { p.Entry = EntryPVH + 1 }, ErrBadParams, "entry preference 3"},
		{"bzImage by PVH", bzFile(), func(p *Params) { p.Entry = EntryPVH }, ErrNoEntry, "this bzImage has no PVH note"},
		{"PVH kernel by 64-bit", elfFile(0, append(vmlinuxSegs(), pvhNote(elfBase))), func(p *Params) { p.Entry = Entry64 }, ErrNoEntry, "this ELF has a PVH entry only"},
		{"kernel larger than RAM", bzFile(), func(p *Params) { p.RAM = []Region{{0, 20*mib - 1}} }, ErrKernelTooBig, "it needs 4194304 bytes from 0x1000000 on"},
		{"kernel only above 4 GiB", bzFile(set16(offXloadflags, xlfKernel64)), func(p *Params) { p.RAM = []Region{{0, 8 * mib}, {fourGiB, gib}} }, ErrKernelTooBig, "it needs"},
		{"fixed kernel in a reserved place", bzFile(set8(offRelocatable, 0)), func(p *Params) {
			p.Reserved = []MemRange{{Region{17 * mib, page}, MemReserved}}
		}, ErrKernelTooBig, "it needs"},
		{"ELF larger than RAM", vmlinux(), func(p *Params) { p.RAM = []Region{{0, 18 * mib}} }, ErrKernelTooBig, "segment [0x1200000-0x1300000) is not in free RAM"},
		{"ELF in low memory", vmlinux(set64(phdr(1, phdrPaddr), 0x7000)), func(*Params) {}, ErrKernelTooBig, "segment [0x7000-"},
		{"ELF beyond the page tables", vmlinux(set64(phdr(1, phdrPaddr), 1<<47)), func(p *Params) {
			p.RAM = append(p.RAM, Region{1 << 47, gib})
		}, ErrKernelTooBig, "beyond the boot page tables"},
		{"ELF too wide for the page tables", vmlinux(set64(phdr(1, phdrPaddr), 30*gib)), func(p *Params) {
			p.RAM = []Region{{0, 31 * gib}}
		}, ErrKernelTooBig, "boot page tables"},
		{"initrd too wide for the page tables", bzFile(), func(p *Params) {
			p.RAM, p.Initrd = []Region{{0, gib}, {fourGiB, 30 * gib}}, sparse(20*gib)
		}, ErrInitrdTooBig, "boot page tables need 26 pages, there is room for 23"},
		{"initrd beyond the page tables", bzFile(), func(p *Params) {
			p.RAM, p.Initrd = []Region{{0, gib}, {fourGiB, 40 * gib}}, sparse(30*gib)
		}, ErrInitrdTooBig, "beyond the boot page tables"},
		{"empty initrd", bzFile(), func(p *Params) { p.Initrd = sparse(0) }, ErrTruncated, "initrd: the file is empty"},
		{"initrd shorter than it says", bzFile(), func(p *Params) { p.Initrd = liar{bytes.NewReader(make([]byte, 10)), 11} }, ErrTruncated, "initrd: truncated: 1 bytes are missing"},
		{"initrd cannot be read", bzFile(), func(p *Params) { p.Initrd = broken{100} }, errBroken, "read initrd"},
		{"initrd larger than RAM", bzFile(), func(p *Params) { p.Initrd = sparse(5 * gib) }, ErrInitrdTooBig, "5368709120 bytes, largest free range is"},
		{"initrd of 2^63 bytes", bzFile(), func(p *Params) { p.Initrd = sparse(1<<63 - 1) }, ErrInitrdTooBig, "initrd"},
		{"initrd fits above 4 GiB only, PVH", pvhLinux(), func(p *Params) {
			p.RAM, p.Initrd = []Region{{0, 64 * mib}, {fourGiB, gib}}, sparse(100*mib)
		}, ErrInitrdTooBig, "initrd"},
		{"command line too long", bzFile(), func(p *Params) { p.Cmdline = strings.Repeat("x", 2048) }, ErrCmdlineTooLong, "2048 bytes, this kernel takes 2047"},
		{"command line with NUL", bzFile(), func(p *Params) { p.Cmdline = "a\x00b" }, ErrBadParams, "NUL"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := machine4G()
			tt.change(&p)
			_, err := mustParse(t, tt.file).Plan(p)
			if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("Plan: %v, want %v with %q", err, tt.want, tt.text)
			}
		})
	}
}

// TestPlanReadsLittle plans with files of a GiB and counts what is read.
func TestPlanReadsLittle(t *testing.T) {
	initrd := sparse(gib)
	p := machine4G()
	p.Initrd = initrd
	if _, err := mustParse(t, bzFile()).Plan(p); err != nil || *initrd.read > 1 {
		t.Errorf("%v; %d bytes of the initrd were read", err, *initrd.read)
	}
}

// TestPlanManyRegions reaches the bound of the memory map with the most regions that are allowed.
func TestPlanManyRegions(t *testing.T) {
	p := Params{RAM: []Region{{0, 64 * mib}}}
	for i := range uint64(maxRegions) {
		if i > 0 {
			p.RAM = append(p.RAM, Region{i * gib, mib})
		}
		p.Reserved = append(p.Reserved, MemRange{Region{0xa0000 + i*0x2000, page}, MemReserved})
	}
	mustPlan(t, mustParse(t, bzFile()), p)
}

func TestSegmentReadAt(t *testing.T) {
	file := []byte("0123456789")
	s := Segment{Name: "x", Source: bytes.NewReader(file), Off: 2, Len: 5, Zero: 4}
	for _, tt := range []struct {
		off, n  int
		want    string
		wantEOF bool
	}{
		{0, 9, "23456\x00\x00\x00\x00", false},
		{0, 3, "234", false},
		{3, 4, "56\x00\x00", false},
		{5, 2, "\x00\x00", false},
		{7, 5, "\x00\x00", true},
		{9, 1, "", true},
		{9, 0, "", false},
	} {
		b := bytes.Repeat([]byte{0xff}, tt.n)
		n, err := s.ReadAt(b, int64(tt.off))
		if string(b[:n]) != tt.want || (err != nil) != tt.wantEOF {
			t.Errorf("ReadAt(%d bytes, %d) = %q, %v; want %q", tt.n, tt.off, b[:n], err, tt.want)
		}
	}
	if _, err := s.ReadAt(nil, 10); err == nil {
		t.Error("ReadAt after the end succeeds")
	}
	if _, err := s.ReadAt(nil, -1); err == nil {
		t.Error("ReadAt before the start succeeds")
	}
	s.Len = 20
	if _, err := s.ReadAt(make([]byte, 20), 0); !errors.Is(err, ErrTruncated) {
		t.Errorf("ReadAt of a file that shrank: %v", err)
	}
}

// TestDescriptors pins the GDT to values that are well known from other loaders.
func TestDescriptors(t *testing.T) {
	for _, tt := range []struct {
		file       []byte
		cs, ds, tr uint64
	}{
		{bzFile(), 0x00af9b000000ffff, 0x00cf93000000ffff, 0x00008b0000000067},
		{pvhLinux(), 0x00cf9b000000ffff, 0x00cf93000000ffff, 0x00008b0000000067},
	} {
		e := mustPlan(t, mustParse(t, tt.file), machine4G()).Entry
		if e.CS.descriptor() != tt.cs || e.DS.descriptor() != tt.ds || e.TR.descriptor() != tt.tr {
			t.Errorf("%#x %#x %#x", e.CS.descriptor(), e.DS.descriptor(), e.TR.descriptor())
		}
	}
}
