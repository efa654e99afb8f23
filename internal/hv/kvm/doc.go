// Package kvm runs vCPUs on the Linux kernel's hypervisor.
//
// Owns: /dev/kvm, memory slots, vCPU threads' entry and exit, in-kernel local APICs, ioeventfds, the ring
// of posted writes, the dirty log.
// Must not know: devices, addresses of a machine, boot protocols.
// Spec: the kernel's Documentation/virt/kvm/api.rst [KVM-API]; layouts are pinned by testdata/layout_amd64.txt.
// Stability: internal.
//
// The interrupt controllers are split: local APICs in the kernel, where timers and IPIs need them, and the IOAPIC
// outside, so that one device serves all back ends. There is no PIC and no PIT.
//
// Files without an architecture in their name serve every one; what a new one needs is beside *_linux_amd64.go.
package kvm
