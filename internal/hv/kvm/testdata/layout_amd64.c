/* Prints the numbers that layout_unsafe_linux_amd64_test.go holds the package against.
 *
 *	cc -o /tmp/layout layout_amd64.c && /tmp/layout > layout_amd64.txt
 *
 * made with the headers of Linux 6.1 (Debian's linux-libc-dev).
 */
#define PAGE_SIZE 4096 /* for KVM_COALESCED_MMIO_MAX */
#include <linux/kvm.h>
#include <stddef.h>
#include <stdio.h>

#define SIZE(t) printf("sizeof %s %zu\n", #t, sizeof(struct t))
#define OFF(t, f) printf("offsetof %s.%s %zu\n", #t, #f, offsetof(struct t, f))
#define NUM(n) printf("number %s %llu\n", #n, (unsigned long long)(n))

int main(void)
{
	SIZE(kvm_userspace_memory_region);
	OFF(kvm_userspace_memory_region, flags);
	OFF(kvm_userspace_memory_region, guest_phys_addr);
	OFF(kvm_userspace_memory_region, memory_size);
	OFF(kvm_userspace_memory_region, userspace_addr);
	SIZE(kvm_enable_cap);
	OFF(kvm_enable_cap, flags);
	OFF(kvm_enable_cap, args);
	SIZE(kvm_ioeventfd);
	OFF(kvm_ioeventfd, addr);
	OFF(kvm_ioeventfd, len);
	OFF(kvm_ioeventfd, fd);
	OFF(kvm_ioeventfd, flags);
	SIZE(kvm_coalesced_mmio_zone);
	OFF(kvm_coalesced_mmio_zone, size);
	OFF(kvm_coalesced_mmio_zone, pio);
	SIZE(kvm_coalesced_mmio);
	OFF(kvm_coalesced_mmio, phys_addr);
	OFF(kvm_coalesced_mmio, len);
	OFF(kvm_coalesced_mmio, pio);
	OFF(kvm_coalesced_mmio, data);
	OFF(kvm_coalesced_mmio_ring, first);
	OFF(kvm_coalesced_mmio_ring, last);
	OFF(kvm_coalesced_mmio_ring, coalesced_mmio);
	SIZE(kvm_irqfd);
	OFF(kvm_irqfd, gsi);
	OFF(kvm_irqfd, flags);
	SIZE(kvm_msi);
	OFF(kvm_msi, address_hi);
	OFF(kvm_msi, data);
	OFF(kvm_msi, flags);
	SIZE(kvm_dirty_log);
	OFF(kvm_dirty_log, dirty_bitmap);
	SIZE(kvm_clock_data);
	OFF(kvm_clock_data, clock);
	OFF(kvm_clock_data, flags);
	SIZE(kvm_irq_routing);
	OFF(kvm_irq_routing, entries);
	SIZE(kvm_irq_routing_entry);
	OFF(kvm_irq_routing_entry, type);
	OFF(kvm_irq_routing_entry, u);
	OFF(kvm_irq_routing_entry, u.msi.address_hi);
	OFF(kvm_irq_routing_entry, u.msi.data);
	SIZE(kvm_cpuid2);
	OFF(kvm_cpuid2, entries);
	SIZE(kvm_cpuid_entry2);
	OFF(kvm_cpuid_entry2, index);
	OFF(kvm_cpuid_entry2, flags);
	OFF(kvm_cpuid_entry2, eax);
	OFF(kvm_cpuid_entry2, edx);
	SIZE(kvm_msrs);
	OFF(kvm_msrs, entries);
	SIZE(kvm_msr_entry);
	OFF(kvm_msr_entry, data);
	SIZE(kvm_regs);
	OFF(kvm_regs, rsp);
	OFF(kvm_regs, r8);
	OFF(kvm_regs, rip);
	OFF(kvm_regs, rflags);
	SIZE(kvm_segment);
	OFF(kvm_segment, limit);
	OFF(kvm_segment, selector);
	OFF(kvm_segment, type);
	OFF(kvm_segment, present);
	OFF(kvm_segment, dpl);
	OFF(kvm_segment, db);
	OFF(kvm_segment, s);
	OFF(kvm_segment, l);
	OFF(kvm_segment, g);
	OFF(kvm_segment, avl);
	OFF(kvm_segment, unusable);
	SIZE(kvm_dtable);
	OFF(kvm_dtable, limit);
	SIZE(kvm_sregs);
	OFF(kvm_sregs, tr);
	OFF(kvm_sregs, ldt);
	OFF(kvm_sregs, gdt);
	OFF(kvm_sregs, idt);
	OFF(kvm_sregs, cr0);
	OFF(kvm_sregs, cr8);
	OFF(kvm_sregs, efer);
	OFF(kvm_sregs, apic_base);
	OFF(kvm_sregs, interrupt_bitmap);
	SIZE(kvm_run);
	OFF(kvm_run, immediate_exit);
	OFF(kvm_run, exit_reason);
	OFF(kvm_run, io.direction);
	OFF(kvm_run, io.size);
	OFF(kvm_run, io.port);
	OFF(kvm_run, io.count);
	OFF(kvm_run, io.data_offset);
	OFF(kvm_run, mmio.phys_addr);
	OFF(kvm_run, mmio.data);
	OFF(kvm_run, mmio.len);
	OFF(kvm_run, mmio.is_write);
	OFF(kvm_run, hw.hardware_exit_reason);
	OFF(kvm_run, fail_entry.hardware_entry_failure_reason);
	OFF(kvm_run, internal.suberror);
	OFF(kvm_run, internal.ndata);
	OFF(kvm_run, internal.data);
	OFF(kvm_run, emulation_failure.flags);
	OFF(kvm_run, emulation_failure.insn_size);
	OFF(kvm_run, emulation_failure.insn_bytes);
	OFF(kvm_run, system_event.type);
	OFF(kvm_run, eoi.vector);

	NUM(KVM_API_VERSION);
	NUM(KVM_GET_API_VERSION);
	NUM(KVM_CREATE_VM);
	NUM(KVM_CHECK_EXTENSION);
	NUM(KVM_GET_VCPU_MMAP_SIZE);
	NUM(KVM_GET_SUPPORTED_CPUID);
	NUM(KVM_CREATE_VCPU);
	NUM(KVM_GET_DIRTY_LOG);
	NUM(KVM_SET_USER_MEMORY_REGION);
	NUM(KVM_SET_TSS_ADDR);
	NUM(KVM_SET_IDENTITY_MAP_ADDR);
	NUM(KVM_SET_GSI_ROUTING);
	NUM(KVM_IRQFD);
	NUM(KVM_IOEVENTFD);
	NUM(KVM_SIGNAL_MSI);
	NUM(KVM_SET_CLOCK);
	NUM(KVM_GET_CLOCK);
	NUM(KVM_ENABLE_CAP);
	NUM(KVM_RUN);
	NUM(KVM_GET_REGS);
	NUM(KVM_SET_REGS);
	NUM(KVM_GET_SREGS);
	NUM(KVM_SET_SREGS);
	NUM(KVM_GET_MSRS);
	NUM(KVM_SET_MSRS);
	NUM(KVM_SET_CPUID2);
	NUM(KVM_KVMCLOCK_CTRL);
	NUM(KVM_REGISTER_COALESCED_MMIO);

	NUM(KVM_COALESCED_MMIO_MAX);
	NUM(KVM_CAP_IRQCHIP);
	NUM(KVM_CAP_COALESCED_MMIO);
	NUM(KVM_CAP_COALESCED_PIO);
	NUM(KVM_CAP_USER_MEMORY);
	NUM(KVM_CAP_SET_TSS_ADDR);
	NUM(KVM_CAP_EXT_CPUID);
	NUM(KVM_CAP_NR_VCPUS);
	NUM(KVM_CAP_MP_STATE);
	NUM(KVM_CAP_IRQ_ROUTING);
	NUM(KVM_CAP_IOEVENTFD);
	NUM(KVM_CAP_SET_IDENTITY_MAP_ADDR);
	NUM(KVM_CAP_ADJUST_CLOCK);
	NUM(KVM_CAP_VCPU_EVENTS);
	NUM(KVM_CAP_DEBUGREGS);
	NUM(KVM_CAP_XSAVE);
	NUM(KVM_CAP_XCRS);
	NUM(KVM_CAP_GET_TSC_KHZ);
	NUM(KVM_CAP_MAX_VCPUS);
	NUM(KVM_CAP_TSC_DEADLINE_TIMER);
	NUM(KVM_CAP_KVMCLOCK_CTRL);
	NUM(KVM_CAP_SIGNAL_MSI);
	NUM(KVM_CAP_SPLIT_IRQCHIP);
	NUM(KVM_CAP_IOEVENTFD_ANY_LENGTH);
	NUM(KVM_CAP_X2APIC_API);
	NUM(KVM_CAP_IMMEDIATE_EXIT);
	NUM(KVM_X2APIC_API_USE_32BIT_IDS);
	NUM(KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK);
	NUM(KVM_MEM_LOG_DIRTY_PAGES);
	NUM(KVM_IOEVENTFD_FLAG_DEASSIGN);
	NUM(KVM_IRQ_ROUTING_MSI);
	NUM(KVM_CPUID_FLAG_SIGNIFCANT_INDEX);
	NUM(KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES);

	NUM(KVM_EXIT_UNKNOWN);
	NUM(KVM_EXIT_EXCEPTION);
	NUM(KVM_EXIT_IO);
	NUM(KVM_EXIT_HYPERCALL);
	NUM(KVM_EXIT_DEBUG);
	NUM(KVM_EXIT_HLT);
	NUM(KVM_EXIT_MMIO);
	NUM(KVM_EXIT_IRQ_WINDOW_OPEN);
	NUM(KVM_EXIT_SHUTDOWN);
	NUM(KVM_EXIT_FAIL_ENTRY);
	NUM(KVM_EXIT_INTR);
	NUM(KVM_EXIT_SET_TPR);
	NUM(KVM_EXIT_TPR_ACCESS);
	NUM(KVM_EXIT_INTERNAL_ERROR);
	NUM(KVM_EXIT_SYSTEM_EVENT);
	NUM(KVM_EXIT_IOAPIC_EOI);
	NUM(KVM_EXIT_HYPERV);
	NUM(KVM_EXIT_X86_RDMSR);
	NUM(KVM_EXIT_X86_WRMSR);
	NUM(KVM_EXIT_DIRTY_RING_FULL);
	NUM(KVM_EXIT_X86_BUS_LOCK);
	NUM(KVM_EXIT_XEN);
	NUM(KVM_EXIT_NOTIFY);
	NUM(KVM_INTERNAL_ERROR_EMULATION);
	NUM(KVM_INTERNAL_ERROR_SIMUL_EX);
	NUM(KVM_INTERNAL_ERROR_DELIVERY_EV);
	NUM(KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON);
	NUM(KVM_SYSTEM_EVENT_SHUTDOWN);
	NUM(KVM_SYSTEM_EVENT_RESET);
	NUM(KVM_SYSTEM_EVENT_CRASH);
	return 0;
}
