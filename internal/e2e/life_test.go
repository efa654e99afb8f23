//go:build linux

package e2e

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/husk-vm/husk/husktest"
	"github.com/husk-vm/husk/vmm"
)

// TestExits ends a guest in every way there is and looks at the reason.
func TestExits(t *testing.T) {
	needKVM(t)
	for _, tt := range []struct {
		name string
		do   func(*testing.T, *husktest.VM)
		want vmm.Reason
	}{
		{"poweroff", func(t *testing.T, vm *husktest.VM) { begin(t, vm, "poweroff", "-f") }, vmm.Shutdown},
		{"agent shutdown", func(t *testing.T, vm *husktest.VM) {
			if _, err := vm.Shutdown(); err != nil {
				t.Error(err)
			}
		}, vmm.Shutdown},
		{"reboot", func(t *testing.T, vm *husktest.VM) { begin(t, vm, "sh", "-c", "echo b >/proc/sysrq-trigger") }, vmm.Reset},
		{"panic", func(t *testing.T, vm *husktest.VM) { begin(t, vm, "sh", "-c", "echo c >/proc/sysrq-trigger") }, vmm.Panic},
		{"power button", func(t *testing.T, vm *husktest.VM) {
			if err := vm.PowerButton(); err != nil {
				t.Error(err)
			}
		}, vmm.Shutdown},
		{"close", func(_ *testing.T, vm *husktest.VM) { vm.Close() }, vmm.Closed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			vm := husktest.New(t, husktest.Config{CPUs: 2, MemoryBytes: 128 << 20})
			tt.do(t, vm)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			exit, err := vm.Wait(ctx)
			if err != nil || exit.Reason != tt.want {
				t.Errorf("ended with %v (%v), %v; want %v", exit.Reason, exit.Err, err, tt.want)
			}
		})
	}
}

// begin starts a command that will not live to report its end.
func begin(t *testing.T, vm *husktest.VM, name string, args ...string) {
	t.Helper()
	if err := vm.Command(name, args...).Start(); err != nil {
		t.Error(err)
	}
}

// TestDiskSurvivesReboot fills a disk, reboots, and reads it back.
func TestDiskSurvivesReboot(t *testing.T) {
	needKVM(t)
	d := rawDisk(t, 64<<20)
	vm := husktest.New(t, husktest.Config{
		CPUs: 2, MemoryBytes: 256 << 20, Disks: []vmm.Disk{{Backend: d, Serial: "e2e"}}, Reboot: vmm.RebootRestarts,
	})
	if got := strings.TrimSpace(run(t, vm.Command("cat", "/sys/block/vda/serial"))); got != "e2e" {
		t.Errorf("the disk's serial is %q", got)
	}
	install(t, vm)
	run(t, helper(vm, "fill", "/dev/vda", "7"))
	before := strings.TrimSpace(run(t, vm.Command("cat", "/proc/sys/kernel/random/boot_id")))
	begin(t, vm, "sh", "-c", "echo b >/proc/sysrq-trigger")
	vm.Ready()
	after := strings.TrimSpace(run(t, vm.Command("cat", "/proc/sys/kernel/random/boot_id")))
	if before == after {
		t.Fatal("the guest did not reboot")
	}
	install(t, vm)
	run(t, helper(vm, "verify", "/dev/vda", "7"))
}

// TestPauseUnderLoad pauses and resumes a guest whose CPUs and disk are busy: nothing moves while it is paused, and
// everything goes on afterwards.
func TestPauseUnderLoad(t *testing.T) {
	needKVM(t)
	vm := husktest.New(t, husktest.Config{CPUs: 2, MemoryBytes: 256 << 20, Disks: []vmm.Disk{{Backend: rawDisk(t, 16<<20)}}})
	install(t, vm)
	cmd := helper(vm, "load", "/dev/vda")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	numbers := make(chan uint64)
	go func() {
		defer close(numbers)
		for in := bufio.NewScanner(stdout); in.Scan(); {
			if n, err := strconv.ParseUint(in.Text(), 10, 64); err == nil {
				numbers <- n
			}
		}
	}()
	last := <-numbers
	for round := range 10 {
		if err := vm.Pause(t.Context()); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		// What the guest sent before is on its way still; a paused guest sends no more than that.
		before := vm.Stats()
		for quiet := false; !quiet; {
			select {
			case last = <-numbers:
			case <-time.After(50 * time.Millisecond):
				quiet = true
			}
		}
		if after := vm.Stats(); after.Exits != before.Exits {
			t.Errorf("round %d: %d exits while paused", round, after.Exits-before.Exits)
		}
		if err := vm.Resume(t.Context()); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		n, ok := <-numbers
		if !ok || n <= last {
			t.Fatalf("round %d: got %d after %d", round, n, last)
		}
		last = n
	}
	go func() {
		for range numbers {
		}
	}()
	stdin.Close()
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

// TestManyExecs runs 64 commands at once, each with input and output of its own.
func TestManyExecs(t *testing.T) {
	needKVM(t)
	vm := husktest.New(t, husktest.Config{CPUs: 2, MemoryBytes: 512 << 20})
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			in := strings.Repeat(fmt.Sprintf("line of %d\n", i), 2000)
			cmd := vm.Command("sh", "-c", fmt.Sprintf("cat; echo err%d >&2; exit %d", i, i%3))
			var stdout, stderr strings.Builder
			cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(in), &stdout, &stderr
			err := cmd.Run()
			code := 0
			if exit, ok := errors.AsType[*husktest.ExitError](err); ok {
				code = exit.ExitCode()
			} else if err != nil {
				t.Errorf("exec %d: %v", i, err)
				return
			}
			if code != i%3 || stdout.String() != in || stderr.String() != fmt.Sprintf("err%d\n", i) {
				t.Errorf("exec %d: code %d, %d bytes of output, stderr %q", i, code, stdout.Len(), stderr.String())
			}
		})
	}
	wg.Wait()
}

// TestVsock moves a GiB each way, intact, while either side stands still now and then.
func TestVsock(t *testing.T) {
	needKVM(t)
	const size, stalls = 1 << 30, 5
	vm := husktest.New(t, husktest.Config{CPUs: 2, MemoryBytes: 512 << 20})
	install(t, vm)
	for i, tt := range []struct {
		name                   string
		toHost                 bool
		hostStalls, guestStall uint64
	}{
		{"to host, host stalls", true, stalls, 0},
		{"to guest, guest stalls", false, 0, stalls},
	} {
		t.Run(tt.name, func(t *testing.T) {
			port, seed := uint32(5000+i), uint64(100+i)
			ln, err := vm.Listen(port)
			if err != nil {
				t.Fatal(err)
			}
			defer ln.Close()
			name := "receive"
			if tt.toHost {
				name = "send"
			}
			cmd := helper(vm, name, fmt.Sprint(port), fmt.Sprint(seed), fmt.Sprint(uint64(size)), fmt.Sprint(tt.guestStall))
			var stderr strings.Builder
			cmd.Stderr = &stderr
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			conn, err := ln.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if tt.toHost {
				if err := transfer(newCheck(seed), conn, size, tt.hostStalls); err != nil {
					t.Fatal(err)
				}
			} else {
				if err := transfer(conn, pattern(seed), size, tt.hostStalls); err != nil {
					t.Fatal(err)
				}
				ok := make([]byte, 2)
				if _, err := io.ReadFull(conn, ok); err != nil {
					t.Errorf("the guest's verdict: %v", err)
				}
			}
			if err := cmd.Wait(); err != nil {
				t.Errorf("helper: %v: %s", err, &stderr)
			}
		})
	}
}

// TestTwoVMs runs two guests in one process, which see nothing of each other.
func TestTwoVMs(t *testing.T) {
	needKVM(t)
	a := husktest.New(t, husktest.Config{MemoryBytes: 128 << 20})
	b := husktest.New(t, husktest.Config{MemoryBytes: 128 << 20})
	run(t, a.Command("sh", "-c", "echo a >/tmp/mark"))
	if out, err := b.Command("cat", "/tmp/mark").CombinedOutput(); err == nil {
		t.Errorf("one guest reads the other's file: %q", out)
	}
	a.Close()
	if got := run(t, b.Command("echo", "alive")); got != "alive\n" {
		t.Errorf("got %q", got)
	}
}

// TestNothingIsLeft starts and ends VMs and counts what the process has.
func TestNothingIsLeft(t *testing.T) {
	needKVM(t)
	once := func() {
		t.Run("vm", func(t *testing.T) {
			vm := husktest.New(t, husktest.Config{CPUs: 2, MemoryBytes: 128 << 20, Disks: []vmm.Disk{{Backend: rawDisk(t, 1<<20)}}})
			run(t, vm.Command("true"))
		})
	}
	once() // what is made once and kept
	fds, threads := count(t, "/proc/self/fd"), count(t, "/proc/self/task")
	goroutines := runtime.NumGoroutine()
	for range 5 {
		once()
	}
	settle(t, "goroutines", goroutines, func() int { return runtime.NumGoroutine() })
	settle(t, "descriptors", fds, func() int { return count(t, "/proc/self/fd") })
	// The Go runtime keeps threads; it must not need more and more of them.
	settle(t, "threads", threads+4, func() int { return count(t, "/proc/self/task") })
}

// settle waits until n returns no more than limit: what has ended may take a moment to be gone.
func settle(t *testing.T, what string, limit int, n func() int) {
	t.Helper()
	got := n()
	for deadline := time.Now().Add(10 * time.Second); got > limit && time.Now().Before(deadline); got = n() {
		runtime.Gosched()
	}
	if got > limit {
		buf := make([]byte, 1<<20)
		t.Errorf("%d %s, want at most %d\n%s", got, what, limit, buf[:runtime.Stack(buf, true)])
	}
}

func count(t *testing.T, dir string) int {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}
