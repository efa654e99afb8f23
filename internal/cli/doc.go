// Package cli is the command line: verbs, flags, what a person reads.
//
// Owns: flags, text to typed units, progress, messages, exit codes, the terminal's modes.
// Must not know: how VMs are run. It starts `husk vm`, a process of the same binary, and talks to it over a socket.
// Stability: internal; the command line itself is described in docs/run.md.
package cli
