//go:build linux && amd64

package kvm

import (
	"errors"
	"fmt"

	"github.com/husk-vm/husk/internal/hostos"
)

// capability is a number that KVM_CHECK_EXTENSION knows [KVM-API §4.4].
type capability uintptr

const (
	capIRQChip            capability = 0
	capUserMemory         capability = 3
	capNRVCPUs            capability = 9
	capMPState            capability = 14
	capCoalescedMMIO      capability = 15 // the answer is the ring's page in a vCPU's mapping
	capIRQRouting         capability = 25
	capIOEventFD          capability = 36
	capMaxVCPUs           capability = 66
	capSignalMSI          capability = 77
	capIOEventFDAnyLength capability = 122
	capImmediateExit      capability = 136
	capCoalescedPIO       capability = 162
)

// needed is a capability that Husk cannot do without, with the kernel's name for it.
type needed struct {
	cap  capability
	name string
}

// commonNeeds are what every architecture needs; archNeeds are the rest.
var commonNeeds = []needed{
	{capUserMemory, "KVM_CAP_USER_MEMORY"},
	{capMPState, "KVM_CAP_MP_STATE"},
	{capIRQRouting, "KVM_CAP_IRQ_ROUTING"},
	{capIOEventFD, "KVM_CAP_IOEVENTFD"},
	{capSignalMSI, "KVM_CAP_SIGNAL_MSI"},
	{capImmediateExit, "KVM_CAP_IMMEDIATE_EXIT"},
}

// check asks for a capability: 0 means no, more means yes or how many.
func check(sys *hostos.FD, c capability) (int, error) {
	n, err := call(sys, checkExtension, uintptr(c))
	if err != nil {
		return 0, fmt.Errorf("kvm: check extension %d: %w", c, err)
	}
	return n, nil
}

// checkNeeds names the first capability that this kernel lacks.
func checkNeeds(sys *hostos.FD, lists ...[]needed) error {
	for _, list := range lists {
		for _, c := range list {
			n, err := check(sys, c.cap)
			if err != nil {
				return err
			}
			if n <= 0 {
				return fmt.Errorf("kvm: this kernel lacks %s: %w", c.name, errors.ErrUnsupported)
			}
		}
	}
	return nil
}

// maxVCPUs is how many vCPUs a VM may have: KVM_CAP_NR_VCPUS is only a recommendation.
func maxVCPUs(sys *hostos.FD) (int, error) {
	for _, c := range []capability{capMaxVCPUs, capNRVCPUs} {
		n, err := check(sys, c)
		if err != nil || n > 0 {
			return n, err
		}
	}
	return 4, nil // what a kernel without either allows [KVM-API §4.7]
}
