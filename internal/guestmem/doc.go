// Package guestmem owns guest RAM.
//
// Owns: host mappings of RAM regions, the GPA and Range types, checked copies, acquire and release words, leases, dirty pages.
// Must not know: devices, virtio, hypervisors.
// Spec: none; addresses are guest-physical [SDM vol. 3A §3.3.3].
// Stability: internal.
//
// RAM lives outside the Go heap. A [Range] can only be made by [Memory.Range], so whoever holds one holds the proof
// that it lies inside one RAM region. Guest code may change every byte at any time: copy in, check the copy, use the copy.
package guestmem
