// Package husktest boots virtual machines in Go tests.
//
//	func TestMounts(t *testing.T) {
//		vm := husktest.New(t, husktest.Config{})
//		out, err := vm.Command("uname", "-r").Output()
//		...
//	}
//
// The guest is Husk's own small Linux, with the commands of a small system; everything runs as root there, on RAM. When
// the test ends, so does the VM, and nothing of it is left; if the test failed, the guest's console is in its log. VMs
// are independent of each other, and tests with one may run in parallel.
//
// A program that only did `go get` of this module carries no guest programs yet: the first test builds them with the Go
// toolchain that runs it, which takes a while, and keeps them in the user's cache directory.
//
// Stability: semver from v1.
package husktest
