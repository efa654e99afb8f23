// Package e2e boots real kernels and checks what users rely on. It has tests only.
//
// They need a KVM that runs kernels at hardware speed, or in the lab: `make e2e` chooses. The test binary copies itself
// into the guest, where the functions of helper_test.go do the guest's part.
package e2e
