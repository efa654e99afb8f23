// Package box is the guest's command line in one program: a shell, the commands that u-root has not, and a place for those it has.
//
// Owns: choosing a command by the program's name, sh, env, test, poweroff and their like.
// Must not know: the agent, the protocol.
// Spec: POSIX.1-2017 for the commands' interfaces, as far as they go.
// Stability: a part of the house, no compatibility promise.
//
// u-root's commands are programs, which cannot be imported. guest/initramfs rewrites them into packages when it builds the
// guest's programs, and hands their main functions to [Main]; a plain go build of cmd/husk-box has only what is here.
package box
