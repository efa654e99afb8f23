// Package initramfs makes the guest's user space: process 1 (cmd/husk-agent) and a shell with u-root's commands (cmd/husk-box), in a cpio archive.
//
// Owns: building the two programs, the archive, kernel modules in it, and where a finished one is found.
// Must not know: how it is booted.
// Spec: [LINUX-INITRAMFS] for the archive.
// Stability: [Load] is what other packages need; the rest is a part of the house, no compatibility promise.
//
// # How the commands get in
//
// u-root's commands are programs, and programs cannot be imported. So a build copies the few packages of this module that the guest
// needs into a temporary module with the same go.mod and go.sum, adds u-root's commands there, rewritten into packages (main becomes an
// exported function, the flag package's global flag set becomes one of the package's own, init functions run only for the command
// that is called), and runs a plain go build. There are two programs, not one: process 1 starts before anything else can, and
// does not initialise the packages of sixty commands.
//
// # Where a finished one comes from
//
// The repository's build puts archives into the directory built, which is embedded. A program that only has this module as a
// dependency gets a module without them: build products do not belong into a repository. There, Load builds the
// archive on first use with the Go toolchain (whoever imports this module has one) from the module's own source,
// in the user's cache directory, once for all programs.
package initramfs
