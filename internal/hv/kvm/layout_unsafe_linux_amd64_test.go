package kvm

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"unsafe"
)

// layout is what this package believes about the kernel's structures and numbers, under their C names.
func layout() map[string]uint64 {
	at := map[string]uint64{}
	sizeof := func(name string, n uintptr) { at["sizeof "+name] = uint64(n) }
	offset := func(name string, n uintptr) { at["offsetof "+name] = uint64(n) }
	number := func(name string, n uint64) { at["number "+name] = n }

	var mr userMemoryRegion
	sizeof("kvm_userspace_memory_region", unsafe.Sizeof(mr))
	offset("kvm_userspace_memory_region.flags", unsafe.Offsetof(mr.flags))
	offset("kvm_userspace_memory_region.guest_phys_addr", unsafe.Offsetof(mr.guestAddr))
	offset("kvm_userspace_memory_region.memory_size", unsafe.Offsetof(mr.memorySize))
	offset("kvm_userspace_memory_region.userspace_addr", unsafe.Offsetof(mr.hostAddr))
	var ec enableCapArgs
	sizeof("kvm_enable_cap", unsafe.Sizeof(ec))
	offset("kvm_enable_cap.flags", unsafe.Offsetof(ec.flags))
	offset("kvm_enable_cap.args", unsafe.Offsetof(ec.args))
	var ie ioEvent
	sizeof("kvm_ioeventfd", unsafe.Sizeof(ie))
	offset("kvm_ioeventfd.addr", unsafe.Offsetof(ie.addr))
	offset("kvm_ioeventfd.len", unsafe.Offsetof(ie.len))
	offset("kvm_ioeventfd.fd", unsafe.Offsetof(ie.fd))
	offset("kvm_ioeventfd.flags", unsafe.Offsetof(ie.flags))
	var zone coalescedZone
	sizeof("kvm_coalesced_mmio_zone", unsafe.Sizeof(zone))
	offset("kvm_coalesced_mmio_zone.size", unsafe.Offsetof(zone.size))
	offset("kvm_coalesced_mmio_zone.pio", unsafe.Offsetof(zone.pio))
	sizeof("kvm_coalesced_mmio", postedEntry)
	offset("kvm_coalesced_mmio.phys_addr", postedAddr)
	offset("kvm_coalesced_mmio.len", postedLen)
	offset("kvm_coalesced_mmio.pio", postedPIO)
	offset("kvm_coalesced_mmio.data", postedData)
	offset("kvm_coalesced_mmio_ring.first", postedFirst)
	offset("kvm_coalesced_mmio_ring.last", postedLast)
	offset("kvm_coalesced_mmio_ring.coalesced_mmio", postedEntries)
	var irq irqFD
	sizeof("kvm_irqfd", unsafe.Sizeof(irq))
	offset("kvm_irqfd.gsi", unsafe.Offsetof(irq.gsi))
	offset("kvm_irqfd.flags", unsafe.Offsetof(irq.flags))
	var m msi
	sizeof("kvm_msi", unsafe.Sizeof(m))
	offset("kvm_msi.address_hi", unsafe.Offsetof(m.addressHi))
	offset("kvm_msi.data", unsafe.Offsetof(m.data))
	offset("kvm_msi.flags", unsafe.Offsetof(m.flags))
	var dl dirtyLog
	sizeof("kvm_dirty_log", unsafe.Sizeof(dl))
	offset("kvm_dirty_log.dirty_bitmap", unsafe.Offsetof(dl.bitmap))
	var cd clockData
	sizeof("kvm_clock_data", unsafe.Sizeof(cd))
	offset("kvm_clock_data.clock", unsafe.Offsetof(cd.clock))
	offset("kvm_clock_data.flags", unsafe.Offsetof(cd.flags))
	sizeof("kvm_irq_routing", routingHeader)
	offset("kvm_irq_routing.entries", routingHeader)
	sizeof("kvm_irq_routing_entry", routingEntry)
	offset("kvm_irq_routing_entry.type", routeType)
	offset("kvm_irq_routing_entry.u", routeAddrLo)
	offset("kvm_irq_routing_entry.u.msi.address_hi", routeAddrHi)
	offset("kvm_irq_routing_entry.u.msi.data", routeData)
	sizeof("kvm_cpuid2", cpuidHeader)
	offset("kvm_cpuid2.entries", cpuidHeader)
	sizeof("kvm_cpuid_entry2", cpuidEntry)
	offset("kvm_cpuid_entry2.index", 4*1) // the words of encodeCPUID
	offset("kvm_cpuid_entry2.flags", 4*2)
	offset("kvm_cpuid_entry2.eax", 4*3)
	offset("kvm_cpuid_entry2.edx", 4*6)
	sizeof("kvm_msrs", msrHeader)
	offset("kvm_msrs.entries", msrHeader)
	sizeof("kvm_msr_entry", msrEntry)
	offset("kvm_msr_entry.data", msrData)
	var r regs
	sizeof("kvm_regs", unsafe.Sizeof(r))
	offset("kvm_regs.rsp", unsafe.Offsetof(r.rsp))
	offset("kvm_regs.r8", unsafe.Offsetof(r.r8))
	offset("kvm_regs.rip", unsafe.Offsetof(r.rip))
	offset("kvm_regs.rflags", unsafe.Offsetof(r.rflags))
	var s segment
	sizeof("kvm_segment", unsafe.Sizeof(s))
	offset("kvm_segment.limit", unsafe.Offsetof(s.limit))
	offset("kvm_segment.selector", unsafe.Offsetof(s.selector))
	offset("kvm_segment.type", unsafe.Offsetof(s.typ))
	offset("kvm_segment.present", unsafe.Offsetof(s.present))
	offset("kvm_segment.dpl", unsafe.Offsetof(s.dpl))
	offset("kvm_segment.db", unsafe.Offsetof(s.db))
	offset("kvm_segment.s", unsafe.Offsetof(s.s))
	offset("kvm_segment.l", unsafe.Offsetof(s.l))
	offset("kvm_segment.g", unsafe.Offsetof(s.g))
	offset("kvm_segment.avl", unsafe.Offsetof(s.avl))
	offset("kvm_segment.unusable", unsafe.Offsetof(s.unusable))
	var tab table
	sizeof("kvm_dtable", unsafe.Sizeof(tab))
	offset("kvm_dtable.limit", unsafe.Offsetof(tab.limit))
	var sr sregs
	sizeof("kvm_sregs", unsafe.Sizeof(sr))
	offset("kvm_sregs.tr", unsafe.Offsetof(sr.tr))
	offset("kvm_sregs.ldt", unsafe.Offsetof(sr.ldt))
	offset("kvm_sregs.gdt", unsafe.Offsetof(sr.gdt))
	offset("kvm_sregs.idt", unsafe.Offsetof(sr.idt))
	offset("kvm_sregs.cr0", unsafe.Offsetof(sr.cr0))
	offset("kvm_sregs.cr8", unsafe.Offsetof(sr.cr8))
	offset("kvm_sregs.efer", unsafe.Offsetof(sr.efer))
	offset("kvm_sregs.apic_base", unsafe.Offsetof(sr.apicBase))
	offset("kvm_sregs.interrupt_bitmap", unsafe.Offsetof(sr.interruptBitmap))

	sizeof("kvm_run", runPageSize)
	offset("kvm_run.immediate_exit", runImmediateExit)
	offset("kvm_run.exit_reason", runExitReason)
	offset("kvm_run.io.direction", runIODirection)
	offset("kvm_run.io.size", runIOSize)
	offset("kvm_run.io.port", runIOPort)
	offset("kvm_run.io.count", runIOCount)
	offset("kvm_run.io.data_offset", runIOOffset)
	offset("kvm_run.mmio.phys_addr", runMMIOAddr)
	offset("kvm_run.mmio.data", runMMIOData)
	offset("kvm_run.mmio.len", runMMIOLen)
	offset("kvm_run.mmio.is_write", runMMIOWrite)
	offset("kvm_run.hw.hardware_exit_reason", runReason)
	offset("kvm_run.fail_entry.hardware_entry_failure_reason", runReason)
	offset("kvm_run.internal.suberror", runSuberror)
	offset("kvm_run.internal.ndata", runNData)
	offset("kvm_run.internal.data", runErrFlags)
	offset("kvm_run.emulation_failure.flags", runErrFlags)
	offset("kvm_run.emulation_failure.insn_size", runInsnSize)
	offset("kvm_run.emulation_failure.insn_bytes", runInsnBytes)
	offset("kvm_run.system_event.type", runEventType)
	offset("kvm_run.eoi.vector", runEOIVector)

	number("KVM_API_VERSION", apiVersion)
	number("KVM_COALESCED_MMIO_MAX", postedRoom)
	for name, req := range map[string]request{
		"KVM_GET_API_VERSION": getAPIVersion, "KVM_CREATE_VM": createVM, "KVM_CHECK_EXTENSION": checkExtension,
		"KVM_GET_VCPU_MMAP_SIZE": getVCPUMmapSize, "KVM_GET_SUPPORTED_CPUID": getSupportedCPUID,
		"KVM_CREATE_VCPU": createVCPU, "KVM_GET_DIRTY_LOG": getDirtyLog,
		"KVM_SET_USER_MEMORY_REGION": setUserMemoryRegion, "KVM_SET_TSS_ADDR": setTSSAddr,
		"KVM_SET_IDENTITY_MAP_ADDR": setIdentityMapAddr, "KVM_SET_GSI_ROUTING": setGSIRouting, "KVM_IRQFD": setIRQFD,
		"KVM_IOEVENTFD": ioEventFD, "KVM_SIGNAL_MSI": signalMSI, "KVM_SET_CLOCK": setClock, "KVM_GET_CLOCK": getClock,
		"KVM_ENABLE_CAP": enableCap, "KVM_RUN": runVCPU, "KVM_GET_REGS": getRegs, "KVM_SET_REGS": setRegs,
		"KVM_GET_SREGS": getSRegs, "KVM_SET_SREGS": setSRegs, "KVM_GET_MSRS": getMSRs, "KVM_SET_MSRS": setMSRs,
		"KVM_SET_CPUID2": setCPUID2, "KVM_REGISTER_COALESCED_MMIO": registerCoalesced, "KVM_KVMCLOCK_CTRL": kvmclockCtrl,
	} {
		number(name, uint64(req))
	}
	for name, c := range map[string]capability{
		"KVM_CAP_NR_VCPUS": capNRVCPUs, "KVM_CAP_MAX_VCPUS": capMaxVCPUs,
		"KVM_CAP_IOEVENTFD_ANY_LENGTH": capIOEventFDAnyLength, "KVM_CAP_COALESCED_MMIO": capCoalescedMMIO,
		"KVM_CAP_COALESCED_PIO": capCoalescedPIO, "KVM_CAP_X2APIC_API": capX2APICAPI,
	} {
		number(name, uint64(c))
	}
	for _, list := range [][]needed{commonNeeds, archNeeds} {
		for _, n := range list {
			number(n.name, uint64(n.cap))
		}
	}
	number("KVM_X2APIC_API_USE_32BIT_IDS", x2apic32BitIDs)
	number("KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK", x2apicNoBroadcastQuirk)
	number("KVM_MEM_LOG_DIRTY_PAGES", memLogDirtyPages)
	number("KVM_IOEVENTFD_FLAG_DEASSIGN", ioEventDeassign)
	number("KVM_IRQ_ROUTING_MSI", routingMSI)
	number("KVM_CPUID_FLAG_SIGNIFCANT_INDEX", cpuidIndexed)
	number("KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES", hasInsnBytes)
	number("KVM_INTERNAL_ERROR_EMULATION", suberrorEmulation)
	for name, r := range map[string]exitReason{
		"UNKNOWN": exitUnknown, "EXCEPTION": exitException, "IO": exitIO, "HLT": exitHLT, "MMIO": exitMMIO,
		"SHUTDOWN": exitShutdown, "FAIL_ENTRY": exitFailEntry, "INTR": exitIntr, "INTERNAL_ERROR": exitInternalError,
		"SYSTEM_EVENT": exitSystemEvent, "IOAPIC_EOI": exitIOAPICEOI,
	} {
		number("KVM_EXIT_"+name, uint64(r))
	}
	number("KVM_SYSTEM_EVENT_SHUTDOWN", eventShutdown)
	number("KVM_SYSTEM_EVENT_RESET", eventReset)
	number("KVM_SYSTEM_EVENT_CRASH", eventCrash)
	return at
}

// TestLayout compares with what C says. Lines about exits and errors that are only named are compared in
// TestNamesOfExits.
func TestLayout(t *testing.T) {
	want := readLayout(t)
	got := layout()
	for name, v := range got {
		if w, ok := want[name]; !ok || v != w {
			t.Errorf("%s is %d, C says %d (%v)", name, v, w, ok)
		}
	}
	for name := range want {
		_, ok := got[name]
		named := strings.HasPrefix(name, "number KVM_EXIT_") || strings.HasPrefix(name, "number KVM_INTERNAL_ERROR_")
		if !ok && !named {
			t.Errorf("%s is in the C program, but nothing of ours is compared with it", name)
		}
	}
}

// TestNamesOfExits holds the names for people against the C names of the same numbers.
func TestNamesOfExits(t *testing.T) {
	want := readLayout(t)
	for name, c := range map[string]string{
		"exception": "EXCEPTION", "hypercall": "HYPERCALL", "debug": "DEBUG", "interrupt window": "IRQ_WINDOW_OPEN",
		"set tpr": "SET_TPR", "tpr access": "TPR_ACCESS", "hyper-v": "HYPERV", "msr read": "X86_RDMSR",
		"msr write": "X86_WRMSR", "dirty ring full": "DIRTY_RING_FULL", "bus lock": "X86_BUS_LOCK", "xen": "XEN",
		"notify": "NOTIFY",
	} {
		if n := want["number KVM_EXIT_"+c]; exitNames[exitReason(n)] != name {
			t.Errorf("exit %d is called %q, want %q", n, exitNames[exitReason(n)], name)
		}
	}
	for name, c := range map[string]string{
		"emulation": "EMULATION", "simultaneous exceptions": "SIMUL_EX", "event delivery": "DELIVERY_EV",
		"unexpected exit reason": "UNEXPECTED_EXIT_REASON",
	} {
		if n := want["number KVM_INTERNAL_ERROR_"+c]; suberrors[uint32(n)] != name {
			t.Errorf("internal error %d is called %q, want %q", n, suberrors[uint32(n)], name)
		}
	}
}

// readLayout reads testdata/layout_amd64.txt, made by the program beside it.
func readLayout(t *testing.T) map[string]uint64 {
	t.Helper()
	text, err := os.ReadFile("testdata/layout_amd64.txt")
	if err != nil {
		t.Fatal(err)
	}
	at := map[string]uint64{}
	for line := range strings.Lines(string(text)) {
		var kind, name string
		var n uint64
		if _, err := fmt.Sscan(line, &kind, &name, &n); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		at[kind+" "+name] = n
	}
	return at
}
