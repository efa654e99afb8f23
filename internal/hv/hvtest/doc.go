// Package hvtest is the conformance suite of hypervisor back ends: what internal/hv promises, held against guests of a
// few instructions each.
//
// Owns: Run, Benchmark, the guests.
// Must not know: any back end, devices.
// Spec: the comments of internal/hv; guests follow the SDM.
// Stability: internal.
//
// The guests are bytes in programs.go with their instructions beside them. A guest talks to the suite through ports.
package hvtest
