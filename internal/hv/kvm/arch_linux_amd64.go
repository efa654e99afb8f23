package kvm

import (
	"fmt"

	"github.com/husk-vm/husk/internal/guestmem"
	"github.com/husk-vm/husk/internal/hostos"
	"github.com/husk-vm/husk/internal/hv"
)

const (
	setTSSAddr         request = 0xae47
	setIdentityMapAddr request = 0x4008_ae48
	getSupportedCPUID  request = 0xc008_ae05
	setCPUID2          request = 0x4008_ae90
	getRegs            request = 0x8090_ae81
	setRegs            request = 0x4090_ae82
	getSRegs           request = 0x8138_ae83
	setSRegs           request = 0x4138_ae84
	getMSRs            request = 0xc008_ae88
	setMSRs            request = 0x4008_ae89
	setClock           request = 0x4030_ae7b
	getClock           request = 0x8030_ae7c
	kvmclockCtrl       request = 0xaead
)

const (
	capSetTSSAddr         capability = 4
	capExtCPUID           capability = 7
	capSetIdentityMapAddr capability = 37
	capAdjustClock        capability = 39
	capVCPUEvents         capability = 41
	capDebugRegs          capability = 50
	capXSave              capability = 55
	capXCRs               capability = 56
	capGetTSCKHz          capability = 61
	capTSCDeadlineTimer   capability = 72
	capKVMClockCtrl       capability = 76
	capSplitIRQChip       capability = 121
	capX2APICAPI          capability = 129
)

// archNeeds are what Husk cannot do without on x86-64.
var archNeeds = []needed{
	{capIRQChip, "KVM_CAP_IRQCHIP"},
	{capSplitIRQChip, "KVM_CAP_SPLIT_IRQCHIP"},
	{capSetTSSAddr, "KVM_CAP_SET_TSS_ADDR"},
	{capSetIdentityMapAddr, "KVM_CAP_SET_IDENTITY_MAP_ADDR"},
	{capExtCPUID, "KVM_CAP_EXT_CPUID"},
	{capTSCDeadlineTimer, "KVM_CAP_TSC_DEADLINE_TIMER"},
	{capGetTSCKHz, "KVM_CAP_GET_TSC_KHZ"},
	{capAdjustClock, "KVM_CAP_ADJUST_CLOCK"},
	{capKVMClockCtrl, "KVM_CAP_KVMCLOCK_CTRL"},
	{capVCPUEvents, "KVM_CAP_VCPU_EVENTS"},
	{capDebugRegs, "KVM_CAP_DEBUGREGS"},
	{capXSave, "KVM_CAP_XSAVE"},
	{capXCRs, "KVM_CAP_XCRS"},
}

const (
	ioapicPins = 24 // of the one IOAPIC outside the kernel

	// maxXAPICCPUs is how many vCPUs 8-bit APIC ids can name; 255 means all of them.
	maxXAPICCPUs = 254

	x2apic32BitIDs         = 1 << 0 // KVM_X2APIC_API_USE_32BIT_IDS
	x2apicNoBroadcastQuirk = 1 << 1 // KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK
)

// archVM is the x86 part of a VM.
type archVM struct {
	wideIDs bool // APIC ids have 32 bits
	routes  routes
	clock   clock
}

// setUpArch does what must be done before the first vCPU exists.
func (vm *VM) setUpArch(sys *hostos.FD) error {
	for _, r := range vm.mem.Regions() {
		if r.Base < hv.X86ReservedBase+guestmem.GPA(hv.X86ReservedSize) && r.Base+guestmem.GPA(r.Size-1) >= hv.X86ReservedBase {
			return fmt.Errorf("kvm: new vm: region %v covers the pages kept for the hypervisor at %#x", r, uint64(hv.X86ReservedBase))
		}
	}
	// Intel CPUs that cannot run real mode as it is need a task state segment, three pages, and an identity-mapped page
	// directory somewhere in the guest's address space. The order of the two does not matter, but vCPUs come later.
	identity := uint64(hv.X86ReservedBase)
	if _, err := callWith(vm.fd, setIdentityMapAddr, &identity); err != nil {
		return fmt.Errorf("kvm: set identity map address: %w", err)
	}
	if _, err := call(vm.fd, setTSSAddr, uintptr(hv.X86ReservedBase)+0x1000); err != nil {
		return fmt.Errorf("kvm: set tss address: %w", err)
	}
	if err := vm.enable(capSplitIRQChip, "KVM_CAP_SPLIT_IRQCHIP", ioapicPins); err != nil {
		return err
	}
	if vm.cpus <= maxXAPICCPUs {
		return nil
	}
	if err := checkNeeds(sys, []needed{{capX2APICAPI, "KVM_CAP_X2APIC_API"}}); err != nil {
		return err
	}
	vm.arch.wideIDs = true
	return vm.enable(capX2APICAPI, "KVM_CAP_X2APIC_API", x2apic32BitIDs|x2apicNoBroadcastQuirk)
}

// complete adds to a failure what the run page does not say.
func (v *VCPU) complete(f *hv.FailedError) {
	var r regs
	if _, err := ioctlWith(v.fd, getRegs, &r); err == nil {
		f.RIP = r.rip
	}
}
