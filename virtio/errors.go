package virtio

import "fmt"

// GuestError is misconduct of a guest driver: the device needs a reset, the VM lives on.
type GuestError struct {
	Op    string // what the device was doing, such as "descriptor chain"
	Cause string
}

func (e *GuestError) Error() string { return fmt.Sprintf("guest driver: %s: %s", e.Op, e.Cause) }

// guestErrorf makes a *GuestError. It is for paths that end in a reset, which may allocate.
func guestErrorf(op, format string, args ...any) error {
	return &GuestError{Op: op, Cause: fmt.Sprintf(format, args...)}
}
