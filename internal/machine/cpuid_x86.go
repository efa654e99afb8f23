package machine

import (
	"cmp"
	"math/bits"
	"slices"

	"github.com/husk-vm/husk/internal/hv"
)

// CPUID leaves that describe the machine rather than the host CPU [SDM vol. 2A CPUID; AMD APM vol. 3 app. E].
const (
	leafFeatures   = 0x1
	leafCache      = 0x4
	leafPower      = 0x6
	leafExtended   = 0x7
	leafPMU        = 0xA
	leafTopology   = 0xB
	leafTopologyV2 = 0x1F
	leafAMDFeature = 0x8000_0001
	leafAMDSizes   = 0x8000_0008
	leafAMDCache   = 0x8000_001D
	leafAMDNode    = 0x8000_001E
)

// Feature bits that are patched.
const (
	ecxVMX         = 1 << 5  // leaf 1
	ecxPDCM        = 1 << 15 // leaf 1: perfmon capability MSR
	ecxHypervisor  = 1 << 31 // leaf 1
	edxHTT         = 1 << 28 // leaf 1
	eaxTurbo       = 1 << 1  // leaf 6
	ecxEPB         = 1 << 3  // leaf 6: energy-performance bias
	ecxWAITPKG     = 1 << 5  // leaf 7: lets a guest idle the host CPU
	edxAMX         = 1<<22 | 1<<24 | 1<<25
	ecxSVM         = 1 << 2  // leaf 8000_0001
	ecxTopologyExt = 1 << 22 // leaf 8000_0001
)

// guestCPUID turns what the back end supports into what vCPU id of n is told: one package of n cores with one thread
// each. Wrong APIC IDs or core counts show up in a guest as "APIC id mismatch" and as broken scheduler domains.
func guestCPUID(supported []hv.CPUIDEntry, id, n int) []hv.CPUIDEntry {
	out := make([]hv.CPUIDEntry, 0, len(supported)+4)
	amd := isAMD(supported)
	for _, e := range supported {
		switch e.Leaf {
		case leafTopology, leafTopologyV2:
			continue // rebuilt below, whole
		case leafFeatures:
			patchFeatures(&e, id, n)
		case leafCache, leafAMDCache:
			patchCache(&e, n)
		case leafPower:
			e.EAX &^= eaxTurbo
			e.ECX &^= ecxEPB
		case leafExtended:
			if e.Subleaf == 0 {
				e.ECX &^= ecxWAITPKG
				e.EDX &^= edxAMX // tile state needs a permission that the back end does not ask for
			}
		case leafPMU:
			e.EAX, e.EBX, e.ECX, e.EDX = 0, 0, 0, 0
		case leafAMDFeature:
			e.ECX &^= ecxSVM
			if amd {
				e.ECX |= ecxTopologyExt
			}
		case leafAMDSizes:
			// ECX: core count less one, and how many APIC ID bits number the cores.
			e.ECX = uint32(n-1) | uint32(coreBits(n))<<12
		case leafAMDNode:
			e.EAX, e.EBX, e.ECX = uint32(id), uint32(id), 0 // own APIC ID; own compute unit, one thread; node 0 of 1
		}
		out = append(out, e)
	}
	out = append(out, topology(leafTopology, id, n)...)
	if maxLeaf(supported) >= leafTopologyV2 {
		out = append(out, topology(leafTopologyV2, id, n)...)
	}
	slices.SortStableFunc(out, func(a, b hv.CPUIDEntry) int {
		return cmp.Or(cmp.Compare(a.Leaf, b.Leaf), cmp.Compare(a.Subleaf, b.Subleaf))
	})
	return out
}

func patchFeatures(e *hv.CPUIDEntry, id, n int) {
	const clflush = 8                       // in 8-byte units
	ids := min(uint32(1)<<coreBits(n), 255) // logical processor IDs in the package, an 8-bit field
	e.EBX = uint32(id)<<24 | ids<<16 | clflush<<8 | e.EBX&0xFF
	e.ECX &^= ecxVMX | ecxPDCM
	e.ECX |= ecxHypervisor
	if n > 1 {
		e.EDX |= edxHTT
	} else {
		e.EDX &^= edxHTT
	}
}

// patchCache makes first- and second-level caches private to a core and the third one common to the package.
func patchCache(e *hv.CPUIDEntry, n int) {
	if e.EAX&0x1F == 0 {
		return // the entry that ends the list
	}
	sharing := uint32(0) // sharers less one
	if level := e.EAX >> 5 & 7; level >= 3 {
		sharing = uint32(1<<coreBits(n)) - 1
	}
	e.EAX = e.EAX&0x0000_3FFF | sharing<<14
	if e.Leaf == leafCache {
		e.EAX |= (uint32(1<<coreBits(n)) - 1) << 26 // cores in the package less one
	}
}

// topology builds leaf 0xB or 0x1F: a thread level of one and a core level of n [SDM vol. 2A CPUID].
func topology(leaf uint32, id, n int) []hv.CPUIDEntry {
	const threads, cores = 1 << 8, 2 << 8
	return []hv.CPUIDEntry{
		{Leaf: leaf, Subleaf: 0, HasSubleaf: true, EAX: 0, EBX: 1, ECX: threads, EDX: uint32(id)},
		{Leaf: leaf, Subleaf: 1, HasSubleaf: true, EAX: uint32(coreBits(n)), EBX: uint32(n), ECX: cores | 1, EDX: uint32(id)},
		{Leaf: leaf, Subleaf: 2, HasSubleaf: true, ECX: 2, EDX: uint32(id)},
	}
}

// coreBits is how many APIC ID bits number n cores.
func coreBits(n int) int { return bits.Len(uint(n - 1)) }

func isAMD(entries []hv.CPUIDEntry) bool {
	for _, e := range entries {
		if e.Leaf == 0 {
			// "AuthenticAMD" and "HygonGenuine" in EBX, EDX, ECX.
			return e.EBX == 0x68747541 || e.EBX == 0x6f677948
		}
	}
	return false
}

func maxLeaf(entries []hv.CPUIDEntry) uint32 {
	for _, e := range entries {
		if e.Leaf == 0 {
			return e.EAX
		}
	}
	return 0
}
