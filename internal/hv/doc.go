// Package hv is the seam between the machine and whatever runs guest instructions.
//
// Owns: Backend, VM, VCPU, Exit, register files, optional capabilities, Probe reports.
// Must not know: devices, addresses of a machine, boot protocols, any back end.
// Stability: internal. hvtest is its conformance suite.
package hv
