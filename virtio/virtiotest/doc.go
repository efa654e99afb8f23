// Package virtiotest is a virtio driver in Go: real rings in real guest memory, for tests, goldens, fuzzing and
// benchmarks of devices, without a guest.
//
// Owns: Driver, Queue, transports as a driver sees them, hostile chains.
// Must not know: any device; the registers' implementation.
// Spec: VIRTIO 1.2, the driver's half, written from the spec and not from package virtio.
// Stability: for tests of this module.
//
// A device's test is a few lines:
//
//	d := virtiotest.Start(t, dev, virtiotest.Options{})
//	r := d.Queue(0).Do(virtiotest.Out(header), virtiotest.In(512), virtiotest.In(1))
//
// The driver checks the device all the time: used entries name chains that are in flight, no more is written than a
// chain has room for, the bytes around buffers stay as they were, nothing runs on after Stop.
package virtiotest
