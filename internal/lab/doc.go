// Package lab runs commands on a Linux machine that has a genuine /dev/kvm, on hosts that have none.
//
// Owns: the outer machine (QEMU emulating a CPU with AMD-V, the distribution's kernel, this binary as its first
// process), the session that keeps it running between commands, and the protocol that carries a command, its
// streams, its signals and its exit code across. It is a test tool: nothing of Husk imports it.
// Must not know: Husk. Whatever a command needs is on the host's root file system, which the machine sees.
// Spec: none; the 9P and SVM facts relied on are cited where they are used.
// Stability: internal.
//
// # How it fits together
//
//	kvmlab -- cmd ──unix socket──▶ supervisor ──virtio-serial port──▶ init (PID 1) ──pipes──▶ stub ──▶ cmd
//	 (client)                      owns QEMU                         in the outer machine    own mount and PID
//	                                                                                         name spaces
//
// One outer machine serves many commands, several at a time: it has one virtio-serial port and one 9p device per
// slot, and a slot runs one command after another. Each command gets a 9p mount of the host's root made for it
// alone, read-only, with no cache that outlives it: a file rebuilt on the host is seen fresh by the next command.
// What a command writes to /tmp, /var/tmp and /run goes to memory and dies with it; directories named with --rw, and
// the directory of a `go test` binary, are the host's own.
//
// When a command ends, its PID name space ends: no process of it survives. When a client vanishes its command is
// killed; when the supervisor vanishes QEMU dies with it.
package lab
