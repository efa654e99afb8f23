package kvm

import (
	"runtime"
	"testing"
)

// lockThread keeps the test's goroutine on one thread, as vCPUs need.
func lockThread(tb testing.TB) {
	runtime.LockOSThread()
	tb.Cleanup(runtime.UnlockOSThread)
}

func mustNil(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Error(err)
	}
}
