package vsock

import "errors"

// Errors that callers test for with errors.Is. Those of connections arrive inside a *net.OpError. A local Close shows as
// net.ErrClosed, a deadline as os.ErrDeadlineExceeded.
var (
	// ErrReset ends every connection when the guest resets the device, as it does in a reboot, or breaks it.
	ErrReset = errors.New("vsock: guest reset the device")
	// ErrNotReady means that no driver in the guest runs the device at the moment. Dialling again later may work.
	ErrNotReady = errors.New("vsock: guest driver is not ready")
	// ErrRefused means that nothing in the guest listens on the port.
	ErrRefused = errors.New("vsock: connection refused")
	// ErrConnReset means that the guest cut this connection off, or was cut off because it broke the protocol.
	ErrConnReset = errors.New("vsock: connection reset")
	// ErrBrokenPipe is what Write returns after CloseWrite, or after the guest said that it reads no more.
	ErrBrokenPipe = errors.New("vsock: broken pipe")
	// ErrTooManyConns means that Config.MaxConns connections exist.
	ErrTooManyConns = errors.New("vsock: too many connections")
	// ErrPortInUse means that Listen was called twice for a port.
	ErrPortInUse = errors.New("vsock: port in use")
)
