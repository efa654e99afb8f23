// Package guestvm is a VM together with Husk's agent in it: it boots, waits until the guest answers, and says what
// happened where it does not.
//
// Owns: the built-in guest's command line, the memory of its console, the explanation of failures.
// Must not know: flags, test frameworks, where commands come from.
// Stability: internal; husktest and `husk vm` stand on it.
package guestvm
