// Package instance describes one VM as the processes around it see it: what was asked for, and how the process that
// runs it is talked to.
//
// Owns: Spec, the control protocol between `husk vm` and whoever started it, the exit codes of a run.
// Must not know: how a VM is built, guest bytes, the command line.
// Stability: internal; both ends of the protocol are always the same binary.
package instance
