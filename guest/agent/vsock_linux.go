package agent

import (
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/husk-vm/husk/guest/proto"
)

// vsockAddr is a net.Addr.
type vsockAddr struct{ cid, port uint32 }

func (a vsockAddr) Network() string { return "vsock" }
func (a vsockAddr) String() string {
	return strconv.FormatUint(uint64(a.cid), 10) + ":" + strconv.FormatUint(uint64(a.port), 10)
}

// vsockConn is a net.Conn over a non-blocking socket, which os.NewFile gives to the runtime's poller:
// a goroutine that waits costs no thread, and deadlines work.
type vsockConn struct {
	*os.File
	peer vsockAddr
}

func (c vsockConn) LocalAddr() net.Addr  { return vsockAddr{} }
func (c vsockConn) RemoteAddr() net.Addr { return c.peer }

// vsockListener accepts connections from the host.
type vsockListener struct{ f *os.File }

// listenVsock listens on a port of this guest.
func listenVsock(port uint32) (*vsockListener, error) {
	fd, err := unix.Socket(unix.AF_VSOCK, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("vsock: %w", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrVM{CID: unix.VMADDR_CID_ANY, Port: port}); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("vsock: bind port %d: %w", port, err)
	}
	if err := unix.Listen(fd, maxConns); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("vsock: listen: %w", err)
	}
	return &vsockListener{os.NewFile(uintptr(fd), "vsock")}, nil
}

// Accept returns the next connection that the host opened; programs in the guest are turned away.
func (l *vsockListener) Accept() (net.Conn, error) {
	raw, err := l.f.SyscallConn()
	if err != nil {
		return nil, net.ErrClosed
	}
	for {
		var nfd int
		var sa unix.Sockaddr
		var aerr error
		err := raw.Read(func(fd uintptr) bool {
			nfd, sa, aerr = unix.Accept4(int(fd), unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK)
			return aerr != unix.EAGAIN
		})
		if err != nil {
			return nil, net.ErrClosed // only Close ends the wait
		}
		switch aerr {
		case nil:
		case unix.EINTR, unix.ECONNABORTED:
			continue
		case unix.EMFILE, unix.ENFILE, unix.ENOBUFS, unix.ENOMEM:
			time.Sleep(acceptPause) // connections that end free what is missing
			continue
		default:
			return nil, fmt.Errorf("vsock: accept: %w", aerr)
		}
		if vm, ok := sa.(*unix.SockaddrVM); ok && vm.CID == proto.HostCID {
			return vsockConn{os.NewFile(uintptr(nfd), "vsock"), vsockAddr{vm.CID, vm.Port}}, nil
		}
		unix.Close(nfd)
	}
}

// acceptPause is how long a listener waits when the system is out of something.
const acceptPause = 50 * time.Millisecond

// Close implements net.Listener.
func (l *vsockListener) Close() error { return l.f.Close() }

// Addr implements net.Listener.
func (l *vsockListener) Addr() net.Addr { return vsockAddr{} }

// dialHost connects to a port of the host. It occupies a thread until the host answers, or the kernel's two seconds are over.
func dialHost(port uint32) (net.Conn, error) {
	fd, err := unix.Socket(unix.AF_VSOCK, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("vsock: %w", err)
	}
	err = unix.Connect(fd, &unix.SockaddrVM{CID: proto.HostCID, Port: port})
	if err == nil {
		err = unix.SetNonblock(fd, true)
	}
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("vsock: connect to host port %d: %w", port, err)
	}
	return vsockConn{os.NewFile(uintptr(fd), "vsock"), vsockAddr{proto.HostCID, port}}, nil
}

var (
	_ net.Conn     = vsockConn{}
	_ net.Listener = (*vsockListener)(nil)
	_ io.Closer    = (*vsockListener)(nil)
)
