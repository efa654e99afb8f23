//go:build linux && amd64

package kvm

import (
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ioctl is int ioctl(int fd, unsigned long request, unsigned long arg) for arguments that are numbers. Nothing is tried
// again: for KVM_RUN EINTR is an answer, and the few requests that it means nothing for say so where they are made.
func ioctl(fd int, req request, arg uintptr) (int, error) {
	n, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), uintptr(req), arg)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// ioctlWith is int ioctl(int fd, unsigned long request, T *arg). The kernel may write through arg, also if it is on the
// caller's stack.
func ioctlWith[T any](fd int, req request, arg *T) (int, error) {
	// Safety: the conversion stands in the argument list of the system call itself, so arg stays where it is until the
	// kernel is done; req says that the kernel reads and writes a T (or, from callBytes, what the bytes' header says).
	n, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), uintptr(req), uintptr(unsafe.Pointer(arg)))
	runtime.KeepAlive(arg)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}
