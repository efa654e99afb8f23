// Package serial is the 16550A UART: a console that every kernel can speak to before it knows anything else.
//
// Owns: the registers, the receive FIFO, and the two bounded buffers towards the host.
// Must not know: terminals, files, who reads the console.
// Spec: National Semiconductor PC16550D data sheet [NS16550].
// Stability: a part of the house, no compatibility promise.
package serial
