// Package hostos is what the rooms need of the operating system below packages os and net.
//
// Owns: descriptors with one owner, events that a thread can sleep on, memory mappings, thread signals, terminals,
// vectored file I/O without allocation, holes in files, locks, facts about the host.
// Must not know: guests, devices, hypervisors.
// Stability: internal.
//
// Each file is one noun with a variant per operating system; where a host lacks something the error satisfies
// errors.Is(err, errors.ErrUnsupported). Errnos stay inside the wrapped chain: callers test errors.Is(err, fs.ErrExist)
// and the like, never numbers.
package hostos
