// Package irqchip holds interrupt controllers: today the I/O APIC, which turns interrupt lines into messages.
//
// Owns: the I/O APIC's registers, the composition of messages from redirection entries.
// Must not know: who receives messages (a hypervisor's local APICs or our own), which device is on which pin.
// Spec: Intel 82093AA data sheet [IOAPIC], message format [SDM vol. 3A §11.11].
// Stability: a part of the house, no compatibility promise.
package irqchip
