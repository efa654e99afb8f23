package linux

import (
	"fmt"
	"slices"
)

// Fields of the zero page outside the setup header [LINUX-BOOT "zero page"].
const (
	zpRSDP         = 0x070 // u64, acpi_rsdp_addr
	zpExtRamdisk   = 0x0c0 // u32, ext_ramdisk_image: bits 63:32
	zpExtRamdiskSz = 0x0c4 // u32, ext_ramdisk_size
	zpE820Entries  = 0x1e8 // u8
	zpE820Table    = 0x2d0 // e820Max entries of 20 bytes: u64 address, u64 size, u32 type
	e820Size       = 20

	loaderUndefined = 0xff // type_of_loader without an assigned number
)

// A setup data node [LINUX-BOOT "setup_data"]: u64 next, u32 type, u32 length, bytes.
const (
	setupDataHeader = 16
	setupRNGSeed    = 9 // SETUP_RNG_SEED
	seedMax         = 64
)

// prepareLong makes what the 64-bit entry wants: zero page, page tables, GDT and registers.
func (l *layouter) prepareLong(entry uint64) error {
	tables, err := pageTables(l.plan.Kernel, l.plan.Initrd)
	if err != nil {
		tooBig := ErrKernelTooBig
		if _, err := pageTables(l.plan.Kernel); err == nil {
			tooBig = ErrInitrdTooBig
		}
		return fmt.Errorf("linux: %w: %w", tooBig, err)
	}
	zp := make([]byte, zeroPageSize)
	copy(zp[hdrStart:hdrMax], l.k.img.setupHeader())
	le.PutUint64(zp[zpRSDP:], l.p.RSDP)
	zp[offTypeOfLoader] = loaderUndefined
	// A kernel loaded above 4 GiB is entered in 64-bit mode only, which does not look at code32_start.
	le.PutUint32(zp[offCode32Start:], uint32(l.plan.Kernel.Base))
	le.PutUint32(zp[offCmdLinePtr:], cmdlineBase)
	le.PutUint32(zp[offRamdiskImage:], uint32(l.plan.Initrd.Base))
	le.PutUint32(zp[offRamdiskSize:], uint32(l.plan.Initrd.Size))
	le.PutUint32(zp[zpExtRamdisk:], uint32(l.plan.Initrd.Base>>32))
	le.PutUint32(zp[zpExtRamdiskSz:], uint32(l.plan.Initrd.Size>>32))
	le.PutUint64(zp[offSetupData:], 0) // the image's own value is no address of ours
	if len(l.p.Seed) > 0 {
		le.PutUint64(zp[offSetupData:], setupDataBase)
		l.addSeed()
	}
	zp[zpE820Entries] = uint8(len(l.plan.Map))
	for i, r := range l.plan.Map {
		b := zp[zpE820Table+i*e820Size:]
		le.PutUint64(b, r.Base)
		le.PutUint64(b[8:], r.Size)
		le.PutUint32(b[16:], uint32(r.Type))
	}
	l.add(Segment{Name: "zero page", Addr: zeroPageBase, Data: zp})
	l.add(Segment{Name: "page tables", Addr: pageTableBase, Data: tables})

	e := l.newEntry(Long64, entry)
	e.RSI = zeroPageBase
	e.CR0 |= cr0PG
	e.CR3 = pageTableBase
	e.CR4 = cr4PAE
	e.EFER = eferLME | eferLMA
	return nil
}

// addSeed hands the kernel its seed, which the kernel wipes after use (linux arch/x86/kernel/setup.c).
func (l *layouter) addSeed() {
	b := make([]byte, setupDataHeader, setupDataHeader+len(l.p.Seed))
	le.PutUint32(b[8:], setupRNGSeed)
	le.PutUint32(b[12:], uint32(len(l.p.Seed)))
	l.add(Segment{Name: "setup data", Addr: setupDataBase, Data: append(b, l.p.Seed...)})
}

// Page table entries [SDM vol. 3A §4.5.4].
const (
	pteTable  = 1<<0 | 1<<1        // present, writable
	pteLarge  = 1<<0 | 1<<1 | 1<<7 // a 2 MiB page
	largeSize = 2 << 20
	entries   = page / 8
	// maxIdentity is the end of what an identity map can reach: the lower half of the 48-bit linear address space.
	maxIdentity = 1 << 47
)

// pageTables maps the first 4 GiB and all of rs to themselves, with 2 MiB pages, and returns the tables to be put at
// pageTableBase: the PML4, then the page directory pointer tables, then the page directories.
func pageTables(rs ...Region) ([]byte, error) {
	gibs := []uint64{0, 1, 2, 3}
	for _, r := range rs {
		if r.Size == 0 {
			continue
		}
		first, last := r.Base/gib, (r.End()-1)/gib
		if last >= maxIdentity/gib || last-first >= pageTableMax {
			return nil, fmt.Errorf("%v is beyond the boot page tables", r)
		}
		for g := first; g <= last; g++ {
			gibs = append(gibs, g)
		}
	}
	slices.Sort(gibs)
	gibs = slices.Compact(gibs)
	pdpts := 1
	for i := 1; i < len(gibs); i++ {
		if gibs[i]/entries != gibs[i-1]/entries {
			pdpts++
		}
	}
	if n := 1 + pdpts + len(gibs); n > pageTableMax {
		return nil, fmt.Errorf("boot page tables need %d pages, there is room for %d", n, pageTableMax)
	}
	b := make([]byte, (1+pdpts+len(gibs))*page)
	pdpt := 0
	for i, g := range gibs {
		if i == 0 || g/entries != gibs[i-1]/entries {
			pdpt++
			le.PutUint64(b[g/entries*8:], tableAddr(pdpt)|pteTable)
		}
		pd := 1 + pdpts + i
		le.PutUint64(b[uint64(pdpt)*page+g%entries*8:], tableAddr(pd)|pteTable)
		for j := range uint64(entries) {
			le.PutUint64(b[uint64(pd)*page+j*8:], g*gib+j*largeSize|pteLarge)
		}
	}
	return b, nil
}

// tableAddr is the address of page n of the tables.
func tableAddr(n int) uint64 { return pageTableBase + uint64(n)*page }
