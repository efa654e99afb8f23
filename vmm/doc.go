// Package vmm runs virtual machines inside a Go program: no external emulator, no daemon, no root.
//
// Owns: Config, VM, the life cycle, exit reasons, the choice of a back end and the reasons for refusals.
// Must not know: registers, ioctls, files, networks; what a machine uses is handed in as values of std shapes.
// Stability: semver from v1.
//
// A VM is made by [New], which is the only place where a configuration can be refused, started by [VM.Start] and waited
// for by [VM.Wait]. [VM.Close] may be called at any time, in any state, and leaves nothing behind: no thread, no
// descriptor, no memory. Several VMs in one process do not see each other.
//
// # Scheduling
//
// Every vCPU occupies an operating system thread while guest code runs. The Go scheduler should have room beside them: a
// program that runs large VMs sets runtime.GOMAXPROCS to at least the number of vCPUs plus two, and keeps CPU-bound work
// out of the process.
package vmm
