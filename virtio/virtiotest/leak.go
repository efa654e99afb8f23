package virtiotest

import (
	"runtime"
	"testing"
	"time"
)

// NoLeak fails the test if, at its end, more goroutines run than now: a device that does not wait for its workers. Call
// it first, in tests that do not run in parallel with others.
func NoLeak(t testing.TB) {
	t.Helper()
	before := runtime.NumGoroutine()
	t.Cleanup(func() {
		for deadline := time.Now().Add(Patience); runtime.NumGoroutine() > before; runtime.Gosched() {
			if time.Now().After(deadline) {
				buf := make([]byte, 1<<16)
				t.Errorf("%d goroutines, %d before:\n%s", runtime.NumGoroutine(), before, buf[:runtime.Stack(buf, true)])
				return
			}
		}
	})
}
