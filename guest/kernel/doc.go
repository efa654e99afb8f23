// Package kernel holds the Linux kernel that Husk boots when nobody brings another: one image, built in drivers, no
// modules, made for virtio on PCI.
//
// Owns: the image, its configuration, and the scripts that build it from the distribution's kernel source package and
// verify the committed binary against it (README.md).
// Must not know: how it is booted.
// Spec: the image is a bzImage [LINUX-BOOT "The Real-Mode Kernel Header"].
// Stability: part of the house; no promise.
package kernel
