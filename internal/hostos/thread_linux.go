package hostos

import (
	"math/bits"
	"os"

	"golang.org/x/sys/unix"
)

// Thread names one thread of this process, to interrupt the system call it sleeps in.
type Thread struct {
	pid, tid int
}

// kickSignal is a real-time signal: nobody sends those for reasons of their own, and Go's handler takes all from 35 on
// and drops what was not asked for with signal.Notify, so the thread just comes out of its system call with EINTR.
const kickSignal = unix.Signal(36)

// CurrentThread names the calling thread, whose goroutine must be locked to it, and makes sure that kicks reach it even
// if this process was started with the signal blocked.
func CurrentThread() (Thread, error) {
	var set unix.Sigset_t
	n := uint(kickSignal) - 1
	set.Val[n/bits.UintSize] |= 1 << (n % bits.UintSize) // the kernel's words are as wide as uint
	if err := unix.PthreadSigmask(unix.SIG_UNBLOCK, &set, nil); err != nil {
		return Thread{}, os.NewSyscallError("rt_sigprocmask", err)
	}
	return Thread{pid: os.Getpid(), tid: unix.Gettid()}, nil
}

// Kick makes the thread's present blocking system call return EINTR, if it is one that signals end: KVM_RUN, poll and
// sleeps are, read and write begin again. It does nothing to a thread that is not in one, so it only helps those who also
// look at a flag before they block. Any goroutine; it does not block.
func (t Thread) Kick() {
	err := unix.Tgkill(t.pid, t.tid, kickSignal)
	if err == unix.EAGAIN {
		// Real-time signals queue, and this user's queue is full. SIGURG does not queue, and the Go runtime, which uses
		// it to preempt goroutines, takes any number of them that mean nothing.
		_ = unix.Tgkill(t.pid, t.tid, unix.SIGURG)
	}
}
