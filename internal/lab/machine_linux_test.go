package lab

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// realLab prepares a session of the real outer machine, with a kvmlab built for it. It skips where the packages are missing, but not in
// CI, where they must not be.
func realLab(t *testing.T) (options, session) {
	t.Helper()
	if testing.Short() {
		t.Skip("boots a machine: not in short mode")
	}
	if missing := missingPackages("/"); len(missing) > 0 {
		if os.Getenv("CI") != "" {
			t.Fatalf("missing packages: %v", missing)
		}
		t.Skipf("missing packages: %v (kvmlab setup)", missing)
	}
	kvmlab := filepath.Join(t.TempDir(), "kvmlab")
	build := exec.Command("go", "build", "-o", kvmlab, "../../cmd/kvmlab")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	o := options{root: "/", self: kvmlab, memoryMiB: 2048, idle: 2 * time.Minute, life: 20 * time.Minute, boot: 5 * time.Minute, session: fmt.Sprint("test ", os.Getpid()), command: true}
	s, err := newSession(o, "/")
	if err != nil {
		t.Fatal(err)
	}
	return o, s
}

// TestMachine is the lab at work: it boots the outer machine once.
func TestMachine(t *testing.T) {
	o, s := realLab(t)
	t.Cleanup(func() {
		if err := stop(s); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(s.dir); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the session is still there: %v", err)
		}
	})
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	run(t, o, s, "", "true") // boots it, or there is no point in the rest

	t.Run("another kernel", func(t *testing.T) {
		code, out, _ := run(t, o, s, "", "uname", "-sr")
		m, err := findMachine(o)
		if err != nil {
			t.Fatal(err)
		}
		if want := "Linux " + m.release + "\n"; code != 0 || out != want {
			t.Errorf("exit code %d, output %q, want %q", code, out, want)
		}
	})
	t.Run("KVM", func(t *testing.T) {
		code, out, errs := run(t, o, s, "", self, kvmArg)
		if code != 0 || out != "a VM with a CPU\n" {
			t.Errorf("exit code %d, output %q, %q", code, out, errs)
		}
	})
	t.Run("working directory", func(t *testing.T) {
		dir, err := os.Getwd()
		if err != nil {
			t.Fatal(err)
		}
		code, out, _ := run(t, o, s, "", "sh", "-c", "pwd; head -1 doc.go")
		if want := dir + "\n// Package lab "; code != 0 || !strings.HasPrefix(out, want) {
			t.Errorf("exit code %d, output %q, want %q…", code, out, want)
		}
	})
	t.Run("the host is read-only", func(t *testing.T) {
		if code, _, errs := run(t, o, s, "", "touch", "/usr/made-inside"); code == 0 || !strings.Contains(errs, "Read-only") {
			t.Errorf("exit code %d, %q", code, errs)
		}
	})
	t.Run("scratch is private", func(t *testing.T) {
		code, _, errs := run(t, o, s, "", "sh", "-ec", "for d in /tmp /var/tmp /run $TMPDIR /dev/shm; do echo x >$d/made-inside; done")
		if code != 0 {
			t.Errorf("exit code %d, %q", code, errs)
		}
		if _, err := os.Stat("/tmp/made-inside"); err == nil {
			t.Error("a file made inside is on the host")
		}
		if code, _, _ := run(t, o, s, "", "ls", "/tmp/made-inside"); code == 0 {
			t.Error("the next command sees the file")
		}
	})
	t.Run("writable directory", func(t *testing.T) {
		dir := t.TempDir()
		o := o
		o.writable = []string{dir}
		file := filepath.Join(dir, "result")
		if code, _, errs := run(t, o, s, "", "sh", "-c", `echo made >"$0" && cat "$0"`, file); code != 0 {
			t.Errorf("exit code %d, %q", code, errs)
		}
		if b, err := os.ReadFile(file); err != nil || string(b) != "made\n" {
			t.Errorf("the file on the host: %q, %v", b, err)
		}
	})
	t.Run("rebuilt program", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "program")
		for i := range 4 {
			// In place and by renaming; of the same size; while an older one still runs.
			text := fmt.Sprintf("#!/bin/sh\necho version %d\n", i)
			if i%2 == 0 {
				if err := os.WriteFile(file, []byte(text), 0o755); err != nil {
					t.Fatal(err)
				}
			} else if err := errors.Join(os.WriteFile(file+".new", []byte(text), 0o755), os.Rename(file+".new", file)); err != nil {
				t.Fatal(err)
			}
			if code, out, errs := run(t, o, s, "", file); code != 0 || out != fmt.Sprintf("version %d\n", i) {
				t.Errorf("round %d: exit code %d, output %q, %q", i, code, out, errs)
			}
		}
	})
	t.Run("nothing survives", func(t *testing.T) {
		run(t, o, s, "", "sh", "-c", "sleep 12345 & exit 0")
		if code, out, _ := run(t, o, s, "", "sh", "-c", "ps ax | grep '[1]2345'"); code == 0 {
			t.Errorf("still running: %q", out)
		}
	})
	t.Run("vanished client", func(t *testing.T) {
		cmd, _, out := startClient(t, o, s, "sh", "-c", "echo ready; exec sleep 54321")
		readLine(t, out)
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait() // killed
		fillSlots(t, o, s)
	})
	t.Run("user name space", func(t *testing.T) {
		code, out, errs := run(t, o, s, "", "unshare", "--user", "--map-root-user", "--mount", "--net", "--pid", "--fork", "id", "-u")
		if code != 0 || out != "0\n" {
			t.Errorf("exit code %d, output %q, %q", code, out, errs)
		}
	})
	t.Run("module on demand", func(t *testing.T) {
		code, _, errs := run(t, o, s, "", "ip", "link", "add", "lab0", "type", "veth")
		if code != 0 && !strings.Contains(errs, "not found") {
			t.Errorf("exit code %d, %q", code, errs)
		}
	})
	t.Run("go test", func(t *testing.T) { testGoTest(t, o, s) })
	t.Run("guest kernel under QEMU", func(t *testing.T) { testInnerQEMU(t, o, s) })
}

// testGoTest runs `go test -exec` with the lab as its runner: profile and log files come back, test data is found.
func testGoTest(t *testing.T, o options, s session) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":          "module sample\n\ngo 1.26\n",
		"x.go":            "package sample\n\nfunc Two() int { return 2 }\n",
		"testdata/answer": "2",
		"x_test.go": `package sample

import (
	"fmt"
	"os"
	"testing"
)

func TestTwo(t *testing.T) {
	want, err := os.ReadFile("testdata/answer")
	if err != nil || fmt.Sprint(Two()) != string(want) {
		t.Fatal(string(want), err)
	}
	host, err := os.Hostname()
	if err != nil || host != "kvmlab" {
		t.Fatal(host, err)
	}
	if f, err := os.Create(t.TempDir() + "/x"); err != nil {
		t.Fatal(err)
	} else {
		f.Close()
	}
}
`,
	} {
		file := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	// The runner is this binary as a client of this session; a script, because -exec splits at blanks.
	runner := filepath.Join(dir, "runner")
	script := fmt.Sprintf("#!/bin/sh\nexec %q %s '%s' \"$@\"\n", self, clientArg, encodeJSON(clientSpec{Dir: s.dir, Root: o.root, Self: o.self, Memory: o.memoryMiB}))
	if err := os.WriteFile(runner, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, answer := range []string{"2", "3", "2"} { // the fixture's change is seen
		if err := os.WriteFile(filepath.Join(dir, "testdata/answer"), []byte(answer), 0o644); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("go", "test", "-exec", runner, "-coverprofile", "cover.out", ".")
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
		out, err := cmd.CombinedOutput()
		if (err == nil) != (answer == "2") {
			t.Errorf("with answer %s: %v\n%s", answer, err, out)
		}
	}
	if b, err := os.ReadFile(filepath.Join(dir, "cover.out")); err != nil || !strings.Contains(string(b), "x.go") {
		t.Errorf("coverage profile: %q, %v", b, err)
	}
}

// testInnerQEMU boots the guest kernel under QEMU with the lab's KVM, up to the point where it finds no root.
func testInnerQEMU(t *testing.T, o options, s session) {
	kernel, err := filepath.Abs("../../guest/kernel/bzImage")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(kernel); err != nil {
		t.Skip(err)
	}
	code, out, errs := run(t, o, s, "", "timeout", "120", qemuName, "-accel", "kvm", "-machine", "microvm,rtc=on", "-cpu", "host",
		"-m", "256", "-nodefaults", "-no-user-config", "-display", "none", "-serial", "stdio", "-no-reboot",
		"-kernel", kernel, "-append", "console=ttyS0 reboot=t panic=-1")
	for _, want := range []string{"Hypervisor detected: KVM", "Unable to mount root fs"} {
		if !strings.Contains(out, want) {
			t.Errorf("exit code %d, no %q in the output:\n%s\n%s", code, want, out, errs)
		}
	}
}

// kvmArg makes this binary a program that creates a VM with one CPU.
const kvmArg = "create-vm"

// createVM needs no structure: KVM_CREATE_VM and KVM_CREATE_VCPU take numbers [linux Documentation/virt/kvm/api.rst].
func createVM() int {
	const (
		getAPIVersion = 0xae00 // KVM_GET_API_VERSION
		createVM      = 0xae01 // KVM_CREATE_VM
		createVCPU    = 0xae41 // KVM_CREATE_VCPU
	)
	fail := func(what string, err error) int {
		fmt.Fprintln(os.Stderr, what, err)
		return 1
	}
	f, err := os.OpenFile("/dev/kvm", os.O_RDWR, 0)
	if err != nil {
		return fail("open", err)
	}
	defer f.Close()
	version, err := unix.IoctlRetInt(int(f.Fd()), getAPIVersion)
	if err != nil || version != 12 {
		return fail("version "+strconv.Itoa(version), err)
	}
	vm, err := unix.IoctlRetInt(int(f.Fd()), createVM)
	if err != nil {
		return fail("create VM", err)
	}
	vcpu, err := unix.IoctlRetInt(vm, createVCPU)
	if err != nil {
		return fail("create VCPU", err)
	}
	err = errors.Join(unix.Close(vcpu), unix.Close(vm))
	if err != nil {
		return fail("close", err)
	}
	_, err = io.WriteString(os.Stdout, "a VM with a CPU\n")
	if err != nil {
		return fail("write", err)
	}
	return 0
}
