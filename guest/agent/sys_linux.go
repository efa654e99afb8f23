package agent

import (
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/husk-vm/husk/guest/proto"
)

// linux is sys on Linux.
type linux struct {
	ps  *processes
	log *slog.Logger
	end func(proto.Shutdown) error // ends the guest
}

func (l *linux) start(s startSpec) (process, error) {
	c, err := l.ps.start(s)
	if err != nil {
		return nil, err // not c: a nil *child in an interface is not nil
	}
	return c, nil
}

// openTTY opens a new pseudo terminal [linux Documentation/filesystems/devpts.rst].
func (l *linux) openTTY(size proto.Size, uid, gid int) (master, end *os.File, err error) {
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, &os.PathError{Op: "open", Path: "/dev/ptmx", Err: err}
	}
	master = os.NewFile(uintptr(fd), "/dev/ptmx") // non-blocking: the runtime's poller takes it
	defer func() {
		if err != nil {
			master.Close()
		}
	}()
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		return nil, nil, fmt.Errorf("number of terminal: %w", err)
	}
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		return nil, nil, fmt.Errorf("unlock terminal: %w", err)
	}
	if err := l.resize(master, size); err != nil {
		return nil, nil, err
	}
	name := "/dev/pts/" + strconv.Itoa(n)
	if end, err = os.OpenFile(name, os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		return nil, nil, err
	}
	if uid != os.Geteuid() {
		if err := end.Chown(uid, gid); err != nil {
			end.Close()
			return nil, nil, err
		}
	}
	return master, end, nil
}

func (l *linux) resize(master *os.File, size proto.Size) error {
	c, err := master.SyscallConn()
	if err != nil {
		return err
	}
	var ierr error
	err = c.Control(func(fd uintptr) {
		ierr = unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &unix.Winsize{Row: size.Rows, Col: size.Cols})
	})
	if err == nil {
		err = ierr
	}
	return err
}

func (l *linux) pending(f *os.File) int {
	c, err := f.SyscallConn()
	if err != nil {
		return 0 // closed
	}
	n := 0
	c.Control(func(fd uintptr) { n, err = unix.IoctlGetInt(int(fd), unix.TIOCINQ) }) // FIONREAD
	if err != nil {
		return 0
	}
	return n
}

// minClock keeps a broken host clock from sending the guest to before this protocol existed, which files and TLS would mind.
const minClock = 1_700_000_000 // seconds since 1970: November 2023

func (l *linux) setClock(t time.Time) error {
	if t.Unix() < minClock {
		return &proto.Error{Code: proto.CodeInvalid, Text: "clock: in the past"}
	}
	ts := unix.NsecToTimespec(t.UnixNano())
	if err := unix.ClockSettime(unix.CLOCK_REALTIME, &ts); err != nil {
		return fmt.Errorf("set clock: %w", err)
	}
	return nil
}

func (l *linux) info() (proto.Info, error) {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return proto.Info{}, fmt.Errorf("uname: %w", err)
	}
	var si unix.Sysinfo_t
	if err := unix.Sysinfo(&si); err != nil {
		return proto.Info{}, fmt.Errorf("sysinfo: %w", err)
	}
	var up unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &up); err != nil {
		return proto.Info{}, fmt.Errorf("uptime: %w", err)
	}
	unit := uint64(si.Unit)
	return proto.Info{
		Hostname: unix.ByteSliceToString(u.Nodename[:]), Kernel: unix.ByteSliceToString(u.Release[:]), Machine: unix.ByteSliceToString(u.Machine[:]),
		CPUs: uint32(runtime.NumCPU()), MemoryBytes: uint64(si.Totalram) * unit, FreeBytes: uint64(si.Freeram) * unit, Uptime: time.Duration(up.Nano()),
	}, nil
}

func (l *linux) shutdown(m proto.Shutdown) error { return l.end(m) }
