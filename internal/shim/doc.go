// Package shim is the body of `husk vm`, the process that runs one VM: it opens what the Spec names, builds a
// vmm.Config, runs the VM and the command in it, and reports over the control socket.
//
// Owns: the use of vmm and host services together, messages about guests that fail, the end of the process.
// Must not know: flags, policy, other VMs.
// Stability: internal.
package shim
