// Package devicestest tests devices: a conformance suite for doorbells, register dialogues as goldens and fuzz seeds,
// and a recording interrupt line.
//
// Owns: the text form of dialogues.
// Must not know: any particular device.
// Stability: for tests only, no compatibility promise.
package devicestest
