package hostos

import (
	"runtime"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestKickInterruptsASleepingThread: a poll that would sleep for ever comes out with EINTR, as often as it is kicked.
func TestKickInterruptsASleepingThread(t *testing.T) {
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	threads := make(chan Thread)
	came := make(chan error)
	var sleeper sync.WaitGroup
	sleeper.Go(func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		// The signal starts out blocked, as a careless parent may leave it.
		var all unix.Sigset_t
		for i := range all.Val {
			all.Val[i] = ^all.Val[i]
		}
		if err := unix.PthreadSigmask(unix.SIG_BLOCK, &all, nil); err != nil {
			t.Error(err)
		}
		self, err := CurrentThread()
		if err != nil {
			t.Error(err)
		}
		threads <- self
		for {
			n, err := unix.Poll([]unix.PollFd{{Fd: int32(p[0]), Events: unix.POLLIN}}, -1)
			if err == nil && n == 1 { // the other end is closed
				return
			}
			came <- err
		}
	})
	self := <-threads
	for range 100 {
		// A kick before the poll sleeps is lost, as documented: that is what flags are for. Here kicking again will do.
		again := time.NewTicker(time.Millisecond)
		for kicked := false; !kicked; {
			self.Kick()
			select {
			case err := <-came:
				if err != unix.EINTR {
					t.Fatal(err)
				}
				kicked = true
			case <-again.C:
			}
		}
		again.Stop()
	}
	unix.Close(p[1])
	done := make(chan struct{})
	go func() { sleeper.Wait(); close(done) }()
	for {
		select {
		case <-came: // kicks that came after the last one was seen
		case <-done:
			unix.Close(p[0])
			return
		}
	}
}
