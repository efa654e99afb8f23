package kvm

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/husk-vm/husk/internal/hv"
)

// Layout of struct kvm_cpuid2: a count, padding, then struct kvm_cpuid_entry2.
const (
	cpuidHeader = 8
	cpuidEntry  = 40

	cpuidIndexed = 1 << 0 // KVM_CPUID_FLAG_SIGNIFCANT_INDEX: the answer depends on the sub-leaf

	firstCPUIDs = 128  // kernels of today give about a hundred
	mostCPUIDs  = 4096 // far beyond KVM_MAX_CPUID_ENTRIES: who wants more is broken
)

// SupportedCPUID returns what this host's KVM can give guests. AMX is not among it: for that the process would have to
// ask for larger register files first.
func (b *Backend) SupportedCPUID() ([]hv.CPUIDEntry, error) {
	sys, err := b.open()
	if err != nil {
		return nil, err
	}
	defer sys.Close()
	for n := uint32(firstCPUIDs); n <= mostCPUIDs; n *= 2 {
		buf := make([]byte, cpuidHeader+n*cpuidEntry)
		binary.NativeEndian.PutUint32(buf, n)
		_, err := callBytes(sys, getSupportedCPUID, buf)
		if err == unix.E2BIG {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("kvm: supported cpuid: %w", err)
		}
		return decodeCPUID(buf)
	}
	return nil, fmt.Errorf("kvm: supported cpuid: more than %d entries", mostCPUIDs)
}

// SetCPUID sets the answers to CPUID, before the vCPU runs.
func (v *VCPU) SetCPUID(entries []hv.CPUIDEntry) error {
	if _, err := ioctlWith(v.fd, setCPUID2, &encodeCPUID(entries)[0]); err != nil {
		return fmt.Errorf("kvm: set cpuid of vcpu %d: %w", v.id, err)
	}
	return nil
}

func encodeCPUID(entries []hv.CPUIDEntry) []byte {
	b := make([]byte, cpuidHeader+len(entries)*cpuidEntry)
	binary.NativeEndian.PutUint32(b, uint32(len(entries)))
	for i, c := range entries {
		var flags uint32
		if c.HasSubleaf {
			flags = cpuidIndexed
		}
		e := b[cpuidHeader+i*cpuidEntry:]
		for j, w := range [...]uint32{c.Leaf, c.Subleaf, flags, c.EAX, c.EBX, c.ECX, c.EDX} {
			binary.NativeEndian.PutUint32(e[4*j:], w)
		}
	}
	return b
}

func decodeCPUID(b []byte) ([]hv.CPUIDEntry, error) {
	n := int(binary.NativeEndian.Uint32(b))
	if n > (len(b)-cpuidHeader)/cpuidEntry {
		return nil, fmt.Errorf("kvm: supported cpuid: %d entries in %d bytes", n, len(b))
	}
	entries := make([]hv.CPUIDEntry, n)
	for i := range entries {
		var w [7]uint32
		for j := range w {
			w[j] = binary.NativeEndian.Uint32(b[cpuidHeader+i*cpuidEntry+4*j:])
		}
		entries[i] = hv.CPUIDEntry{
			Leaf: w[0], Subleaf: w[1], HasSubleaf: w[2]&cpuidIndexed != 0,
			EAX: w[3], EBX: w[4], ECX: w[5], EDX: w[6],
		}
	}
	return entries, nil
}
