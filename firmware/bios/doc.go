// Package bios is what is left of a PC's BIOS on a machine without firmware: the reset vector.
//
// Owns: the 16 bytes at 0xffff0.
// Must not know: guest RAM, devices, which port resets the machine.
// Spec: [SDM vol. 3A §9.1.4].
// Stability: a part of the house, no compatibility promise.
//
// A Linux kernel on hardware-reduced ACPI takes for granted that EFI will reset the machine, and where there is none, it
// does not try the FADT's reset register but goes back to real mode and jumps to f000:fff0
// (linux arch/x86/kernel/reboot.c, arch/x86/realmode/rm/reboot.S). Without code there a reboot ends in a crawl through
// whatever the memory holds.
package bios
