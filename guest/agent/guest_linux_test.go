package agent

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/husk-vm/husk/guest/proto"
)

// reaperVar makes this test binary a process that is to its descendants what process 1 is: orphans become its children.
const reaperVar = "HUSK_TEST_REAPER"

func TestMain(m *testing.M) {
	if os.Getenv(reaperVar) != "" {
		if err := reaperMain(); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// TestReaper runs reaperMain apart from the tests: whoever takes all exits of a process may be its only part that waits.
func TestReaper(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), reaperVar+"=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

// reaperMain starts processes that end at once, some leaving orphans behind, from many goroutines, while the reaper reaps.
func reaperMain() error {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return err
	}
	ps := newProcesses(true)
	sigs := make(chan os.Signal, 16)
	signal.Notify(sigs, syscall.SIGCHLD)
	go func() {
		for range sigs {
			ps.reap()
		}
	}()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	sh := func(script string) startSpec {
		return startSpec{path: "/bin/sh", args: []string{"sh", "-c", script}, dir: "/", files: [3]*os.File{null, null, null}}
	}
	var wg sync.WaitGroup
	errs := make(chan error, 1000)
	for i := range 16 {
		wg.Go(func() {
			for j := range 12 {
				script, want := fmt.Sprintf("exit %d", i*j), proto.Exit{Code: uint8(i * j)}
				switch j % 3 {
				case 1:
					script = "(true & true &) ; " + script // two orphans
				case 2:
					script, want = "kill -9 $$", proto.Exit{Signal: 9}
				}
				c, err := ps.start(sh(script))
				if err != nil {
					errs <- err
					return
				}
				<-c.done()
				if e := c.exit(); e.Code != want.Code || e.Signal != want.Signal {
					errs <- fmt.Errorf("%s: %+v", script, e)
				}
				if err := c.signal(proto.SIGTERM); !errors.Is(err, os.ErrProcessDone) {
					errs <- fmt.Errorf("a signal to a reaped process: %v", err)
				}
				if _, err := ps.start(startSpec{path: "/no/such", args: []string{"x"}, dir: "/", files: [3]*os.File{null, null, null}}); !errors.Is(err, os.ErrNotExist) {
					errs <- fmt.Errorf("started what is not there: %v", err)
				}
			}
		})
	}
	wg.Wait()
	// An orphan that outlives its parent, and is a child of ours then.
	c, err := ps.start(sh("sleep 1000 & exit 0"))
	if err != nil {
		return err
	}
	<-c.done()
	if ps.waitNone(0) {
		return errors.New("an orphan is a child, and was not counted")
	}
	if err := unix.Kill(-c.pid(), unix.SIGKILL); err != nil {
		return fmt.Errorf("orphan: %w", err)
	}
	if !ps.waitNone(time.Minute) {
		return errors.New("children remain: zombies, or the reaper lost count")
	}
	if len(ps.live) != 0 || len(ps.early) != 0 {
		return fmt.Errorf("left in the tables: %v, %v", ps.live, ps.early)
	}
	close(errs)
	return <-errs
}

type fakeMounter struct {
	log  []string
	fail map[string]error
}

func (f *fakeMounter) mkdir(path string) error { f.log = append(f.log, "mkdir "+path); return nil }
func (f *fakeMounter) mount(m mount) error {
	f.log = append(f.log, "mount "+m.fs+" "+m.at)
	return f.fail[m.at]
}

func (f *fakeMounter) link(target, path string) error {
	f.log = append(f.log, "link "+path)
	return f.fail[path]
}

func TestMounts(t *testing.T) {
	k := &fakeMounter{fail: map[string]error{
		"/sys/fs/cgroup": unix.ENODEV,      // optional: no word about it
		"/dev/fd":        os.ErrExist,      // neither about what is there
		"/dev/shm":       unix.EPERM,       // but about this
		"/dev/stdin":     os.ErrPermission, // and this
	}}
	err := mountAll(k, mounts)
	if err == nil || !errors.Is(err, unix.EPERM) || !errors.Is(err, os.ErrPermission) || errors.Is(err, unix.ENODEV) || errors.Is(err, os.ErrExist) {
		t.Errorf("%v", err)
	}
	log := strings.Join(k.log, "\n")
	at := -1
	for _, step := range []string{"mount proc /proc", "mount sysfs /sys", "mount devtmpfs /dev", "mkdir /dev/pts", "mount devpts /dev/pts", "mount tmpfs /tmp", "mount cgroup2 /sys/fs/cgroup", "link /dev/fd", "link /dev/ptmx"} {
		i := strings.Index(log, step+"\n")
		if i < 0 && !strings.HasSuffix(log, step) {
			t.Errorf("no %q in\n%s", step, log)
		} else if i >= 0 && i < at {
			t.Errorf("%q comes too early in\n%s", step, log)
		} else {
			at = max(at, i)
		}
	}
}

func TestParseCmdline(t *testing.T) {
	for _, tt := range []struct {
		line string
		want bootParams
	}{
		{"", bootParams{hostname: "husk"}},
		{"console=hvc0 husk.debug quiet husk.hostname=a husk.shell\n", bootParams{debug: true, shell: true, hostname: "a"}},
		{"husk.hostname= husk.debugger nohusk.debug", bootParams{hostname: "husk"}},
		{"husk.hostname=" + strings.Repeat("x", 65), bootParams{hostname: "husk"}},
	} {
		if got := parseCmdline(tt.line); got != tt.want {
			t.Errorf("%q: %+v", tt.line, got)
		}
	}
}

func TestLoadModules(t *testing.T) {
	var log []string
	err := loadModules(strings.NewReader("/m/a.ko\n\n# comment\n/m/b.ko x=1 y=2\n/m/c.ko\n/m/d.ko\n"), func(path, params string) error {
		log = append(log, path+"("+params+")")
		return map[string]error{"/m/a.ko": unix.EEXIST, "/m/c.ko": unix.ENOEXEC}[path]
	})
	if got := strings.Join(log, " "); got != "/m/a.ko() /m/b.ko(x=1 y=2) /m/c.ko() /m/d.ko()" {
		t.Error(got)
	}
	if err == nil || err.Error() != "load /m/c.ko: exec format error" {
		t.Error(err)
	}
}

func TestWatchKeys(t *testing.T) {
	event := func(typ, code uint16, value uint32) []byte {
		b := make([]byte, eventSize)
		binary.LittleEndian.PutUint16(b[16:], typ)
		binary.LittleEndian.PutUint16(b[18:], code)
		binary.LittleEndian.PutUint32(b[20:], value)
		return b
	}
	in := bytes.Join([][]byte{
		event(0, 0, 0), event(evKey, 30, 1), event(evKey, keyPower, 0), event(2, keyPower, 1),
		event(evKey, keyPower, 1), event(evKey, keyRestart, 1), event(evKey, keyPower, 2), event(evKey, keyPower, 1)[:10],
	}, nil)
	var got []uint16
	watchKeys(bytes.NewReader(in), func(key uint16) { got = append(got, key) })
	if fmt.Sprint(got) != fmt.Sprint([]uint16{keyPower, keyRestart}) {
		t.Error(got)
	}
}

func TestHasBit(t *testing.T) {
	for _, tt := range []struct {
		bitmap string
		want   bool
	}{
		{"10000000000000 0\n", true}, // the ACPI power button: bit 116 = 64 + 52
		{"8000 10000000000000 0", true},
		{"0 0", false},
		{"10000000000000", false},
		{"zz 0", false},
		{"", false},
	} {
		if got := hasBit(tt.bitmap, keyPower); got != tt.want {
			t.Errorf("%q: %v", tt.bitmap, got)
		}
	}
}

func TestMountPoint(t *testing.T) {
	for _, tt := range []struct{ line, want string }{
		{"25 1 254:1 / /mnt/a\\040b rw,relatime shared:1 - ext4 /dev/vda1 rw", "/mnt/a b"},
		{"22 1 0:21 / /proc rw - proc proc rw", ""},
		{"broken", ""},
		{"1 2 3 - ext4", ""},
	} {
		if got, ok := mountPoint(tt.line); got != tt.want || ok != (tt.want != "") {
			t.Errorf("%q: %q, %v", tt.line, got, ok)
		}
	}
}

func TestSetClockRefusesThePast(t *testing.T) {
	err := (&linux{}).setClock(time.Unix(0, 0))
	if e, ok := errors.AsType[*proto.Error](err); !ok || e.Code != proto.CodeInvalid {
		t.Errorf("1970: %v", err)
	}
}

// TestVsock makes a real listener and connects to it from here, over the kernel's loopback, where it has one:
// a program in the guest is not the host.
func TestVsock(t *testing.T) {
	ln, err := listenVsock(unix.VMADDR_PORT_ANY)
	if err != nil {
		t.Skipf("no vsock on this kernel: %v", err)
	}
	raw, err := ln.f.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var sa unix.Sockaddr
	raw.Control(func(fd uintptr) { sa, err = unix.Getsockname(int(fd)) })
	if err != nil {
		t.Fatal(err)
	}
	accepted := make(chan error, 1)
	go func() {
		_, err := ln.Accept()
		accepted <- err
	}()
	fd, err := unix.Socket(unix.AF_VSOCK, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "vsock")
	defer f.Close()
	err = unix.Connect(fd, &unix.SockaddrVM{CID: unix.VMADDR_CID_LOCAL, Port: sa.(*unix.SockaddrVM).Port})
	if err == nil { // the loopback module is there
		if n, rerr := f.Read(make([]byte, 1)); n > 0 || rerr == nil || rerr != io.EOF && !errors.Is(rerr, unix.ECONNRESET) {
			t.Errorf("not turned away: %d, %v", n, rerr)
		}
	} else {
		t.Logf("no loopback: %v", err)
	}
	ln.Close()
	if err := <-accepted; err == nil {
		t.Error("accepted what is not the host")
	}
}
