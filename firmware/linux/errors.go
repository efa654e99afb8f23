package linux

import (
	"errors"
	"fmt"
)

// Conditions a caller may want to tell apart. Errors of this package wrap one of them and say more in their text.
var (
	// ErrNotKernel means the file is something else; see [NotKernelError].
	ErrNotKernel = errors.New("not an x86-64 Linux kernel")
	// ErrTruncated means a file is shorter than its own header says, or shrank; see [TruncatedError].
	ErrTruncated = errors.New("truncated")
	// ErrMalformed means an image contradicts itself.
	ErrMalformed = errors.New("malformed image")
	// ErrOldProtocol means a bzImage from before boot protocol 2.12 (Linux 3.8).
	ErrOldProtocol = errors.New("boot protocol too old")
	// ErrNot64Bit means a kernel that can only be entered in 32-bit mode.
	ErrNot64Bit = errors.New("not a 64-bit kernel")
	// ErrOverlap means that parts of the image claim the same memory.
	ErrOverlap = errors.New("overlapping segments")
	// ErrNoEntry means that the kernel cannot be entered in the way the caller prefers.
	ErrNoEntry = errors.New("no such entry point")
	// ErrKernelTooBig means that the kernel does not fit into guest RAM where it wants to be.
	ErrKernelTooBig = errors.New("kernel does not fit in memory")
	// ErrInitrdTooBig means that the initrd does not fit into what the kernel leaves of guest RAM.
	ErrInitrdTooBig = errors.New("initrd does not fit in memory")
	// ErrCmdlineTooLong means that the kernel would cut the command line off.
	ErrCmdlineTooLong = errors.New("command line too long")
	// ErrBadParams means a mistake of the caller in [Params].
	ErrBadParams = errors.New("bad parameters")
)

// NotKernelError says what a file that is no kernel looks like. It satisfies errors.Is(err, ErrNotKernel).
type NotKernelError struct {
	Looks string // "gzip data", "an arm64 Image", ... for a person
	Hint  string // what to do about it, "" if nothing
}

func (e *NotKernelError) Error() string {
	s := "linux: kernel: " + ErrNotKernel.Error() + ", it looks like " + e.Looks
	if e.Hint != "" {
		s += " (" + e.Hint + ")"
	}
	return s
}

// Is reports whether target is ErrNotKernel.
func (e *NotKernelError) Is(target error) bool { return target == ErrNotKernel }

// TruncatedError says how much of a file is missing. It satisfies errors.Is(err, ErrTruncated).
type TruncatedError struct {
	What string // "kernel" or "initrd"
	Size uint64 // bytes there are
	Need uint64 // bytes there must be, more than Size
}

// Missing is the number of bytes that the file lacks.
func (e *TruncatedError) Missing() uint64 { return e.Need - e.Size }

func (e *TruncatedError) Error() string {
	if e.Size == 0 {
		return fmt.Sprintf("linux: %s: the file is empty", e.What)
	}
	return fmt.Sprintf("linux: %s: truncated: %d bytes are missing (have %d of %d)", e.What, e.Missing(), e.Size, e.Need)
}

// Is reports whether target is ErrTruncated.
func (e *TruncatedError) Is(target error) bool { return target == ErrTruncated }

// kernelErr wraps one of the sentinels above with what is wrong with the kernel image.
func kernelErr(sentinel error, format string, args ...any) error {
	return fmt.Errorf("linux: kernel: %w: %s", sentinel, fmt.Sprintf(format, args...))
}
