// Package linux reads Linux kernel images and lays them out in guest memory, so that a vCPU can be started straight in
// the kernel, without firmware.
//
// Owns: the x86 boot protocol's setup header and zero page, ELF kernels, the PVH start info, the e820 map, boot page
// tables and GDT, the places of kernel, initrd and command line.
// Must not know: guest RAM as memory (only as numbers), devices, hypervisors, where the files come from.
// Spec: [LINUX-BOOT], [PVH], [ELF].
// Stability: a part of the house, no compatibility promise.
//
// [Parse] recognises an image and checks it against its own size; [Kernel.Plan] answers with segments, most of them
// windows into the files, and with the registers of the first vCPU. Nothing is decompressed and no file is held in
// memory: the caller copies segments from the files to guest RAM with [Segment.ReadAt].
//
// Kernel and initrd files are hostile input: all sizes and counts read from them are bounded before use.
package linux
