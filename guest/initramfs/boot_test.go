package initramfs

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// TestBoot boots the archive under QEMU's emulator with the distribution's kernel, whose virtio drivers are modules, and talks to the
// console's shell. QEMU is a test tool; the kernel is the cloud kernel of Debian's package linux-image-cloud-amd64.
func TestBoot(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and boots")
	}
	kernels, _ := filepath.Glob("/boot/vmlinuz-*-cloud-amd64")
	qemu, err := exec.LookPath("qemu-system-x86_64")
	if err != nil || len(kernels) == 0 || runtime.GOOS != "linux" {
		t.Skip("needs qemu-system-x86_64 and a Debian cloud kernel in /boot")
	}
	kernel := kernels[len(kernels)-1]
	release := strings.TrimPrefix(filepath.Base(kernel), "vmlinuz-")
	base, err := Build(t.Context(), "../..", "amd64")
	if err != nil {
		t.Fatal(err)
	}
	mods, err := Modules("/lib/modules/"+release, VirtioModules)
	if err != nil {
		t.Fatal(err)
	}
	extra, err := Archive([]File{{Path: "/etc/marker", Mode: 0o640, Content: []byte("appended\n")}})
	if err != nil {
		t.Fatal(err)
	}
	initrd := filepath.Join(t.TempDir(), "initrd")
	if err := os.WriteFile(initrd, bytes.Join([][]byte{base, mods, extra}, nil), 0o644); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, qemu, "-accel", "tcg", "-M", "q35", "-cpu", "max", "-m", "512", "-nodefaults", "-no-reboot", "-display", "none",
		"-serial", "stdio", "-device", "virtio-rng-pci", "-kernel", kernel, "-initrd", initrd,
		"-append", "console=ttyS0 quiet panic=-1 husk.debug husk.shell husk.hostname=tested")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	con := &console{t: t, r: out}
	con.until("msg=up")
	con.until("# ")
	for _, tt := range bootChecks {
		// The echo of the command must not look like its answer: the marks are put together by the shell.
		fmt.Fprintf(in, "echo B''EGIN; %s; echo E''ND $?\n", tt.command)
		con.until("BEGIN\r\n")
		got := strings.ReplaceAll(con.until("END "), "\r\n", "\n")
		got = strings.TrimSuffix(got, "END ") + "=" + strings.TrimSpace(con.until("\n"))
		if !strings.Contains(got, tt.want) {
			t.Errorf("%s\n gave %q, want %q in it", tt.command, got, tt.want)
		}
	}
	io.WriteString(in, "poweroff\n")
	rest := con.all()
	if err := cmd.Wait(); err != nil {
		t.Errorf("qemu: %v: %s", err, &stderr)
	}
	if !strings.Contains(rest, "reboot: Power down") {
		t.Errorf("the guest did not power off: %q", rest)
	}
	log := con.log.String()
	for _, bad := range []string{"level=ERROR", "level=WARN", "panic", "not syncing"} {
		if i := strings.Index(log, bad); i >= 0 {
			t.Errorf("console says %s: %s", bad, log[max(0, i-200):min(len(log), i+500)])
		}
	}
	if !strings.Contains(log, "listening") || !strings.Contains(log, `err="vsock: connect to host port 1025: no such device"`) {
		t.Errorf("no attempt to reach the host: %s", log)
	}
}

var bootChecks = []struct{ command, want string }{
	{"uname -a", "Linux tested 6."},
	{"echo abc | tr a-z A-Z", "ABC\n=0"},
	{"sh -c 'echo $0 $2; exit 3' x y z", "x z\n=3"},
	{"cat /proc/mounts", "tmpfs /tmp tmpfs"},
	{"cat /proc/mounts", "devpts /dev/pts devpts"},
	{"cat /proc/mounts", "cgroup2 /sys/fs/cgroup cgroup2"},
	{"cat /etc/marker; ls -l /etc/marker", "appended\n"},
	{"ls -l /dev/fd /dev/ptmx /dev/null", "pts/ptmx"},
	{"ls -d /tmp /dev/shm; mktemp -d", "/tmp/"},
	{"ps -A", " init"},
	{"ip addr show lo", "127.0.0.1"},
	{"lsmod", "vmw_vsock_virtio_transport"},
	{"test -c /dev/hwrng && [ 1 -lt 2 ]", "=0"},
	{"seq 3 | sort -r | head -n 1 | wc -l", "1\n=0"},
	{"echo x | sha256sum", "73cb3858a687a8494ca3323053016282f3dad39d42cf62ca4e79dda2aac7d9ac"},
	{"env A=1 printenv A; printf '%03d\\n' 7", "1\n007\n=0"},
	{"find /etc -name pass\\*", "/etc/passwd\n"},
	{"cd /tmp; echo hi > f; tar -cf t.tar f; rm f; tar -xf t.tar .; cat f; cp f g; mv g h; ls", "h\n"},
	{"cp /etc/hosts /tmp/z; gzip /tmp/z; gzip -d /tmp/z.gz; head -n 1 /tmp/z", "127.0.0.1 localhost\n=0"},
	{"mount -t tmpfs none /mnt && echo y > /mnt/y && umount /mnt && ls /mnt", "=0"},
	{"no-such-command", "=127"},
	{"husk-box | wc -l", "\n=0"},
	{"sleep 0; date; dmesg | head -n 1; free; df; id; hostname; true", "tested\n"},
}

// console reads what a guest prints.
type console struct {
	t   *testing.T
	r   io.Reader
	log bytes.Buffer
}

// until returns what comes up to and with mark.
func (c *console) until(mark string) string {
	c.t.Helper()
	start := c.log.Len()
	b := make([]byte, 1)
	for !bytes.HasSuffix(c.log.Bytes()[start:], []byte(mark)) {
		if _, err := io.ReadFull(c.r, b); err != nil {
			c.t.Fatalf("console ended before %q: %s", mark, &c.log)
		}
		c.log.Write(b)
	}
	return string(c.log.Bytes()[start:])
}

// all returns what comes to the end.
func (c *console) all() string {
	b, err := io.ReadAll(c.r)
	if err != nil && !strings.Contains(err.Error(), fs.ErrClosed.Error()) {
		c.t.Error(err)
	}
	c.log.Write(b)
	return string(b)
}
