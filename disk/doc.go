// Package disk is disk images on the host: files and block devices as bytes at offsets.
//
// Owns: opening and locking an image, Raw, what becomes of holes, sizes that are no whole sectors, and errors of Sync.
// Must not know: guests, virtio; it parses nothing to find out what a file is: the caller says which format to open.
// Spec: none for raw images.
// Stability: v0, documented, may change between minor versions.
//
// An image fits where a disk wants a back end: io.ReaderAt, io.WriterAt, Size, Sync, and what more it can do. All
// methods may be called from several goroutines at once.
package disk
