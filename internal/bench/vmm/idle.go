//go:build linux

package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

const firstLine = "user space is up"

// idle is what one idle guest's processes were seen to hold and do.
type idle struct {
	vm      memory // of the process that runs the VM
	helpers memory // of all others
	threads int    // of the process that runs the VM
	all     thread // what all threads of the VM's process did while it was watched
	busiest thread // what its busiest thread did
	beside  thread // what all other processes did
}

// idleGuests compares VMMs whose guests sleep.
func idleGuests(o options) error {
	ways := []struct {
		name string
		args []string
	}{
		{"husk", o.huskArgs(o.kernel, o.initrd)},
		{"husk, own guest", []string{o.husk, "run", "--memory", fmt.Sprintf("%dM", ramMiB), "--", "sh", "-c", "echo " + firstLine + "; sleep 1000"}},
		{"qemu microvm", o.qemuArgs(o.kernel, "-initrd", o.initrd)},
	}
	results := make([][]idle, len(ways))
	for range o.rounds {
		for i, w := range ways {
			r, err := o.watch(w.args)
			if err != nil {
				return fmt.Errorf("%s: %w", w.name, err)
			}
			results[i] = append(results[i], r)
		}
	}
	fmt.Printf("idle guests: 1 CPU, %d MiB, %d of each, in turns, %v after boot, watched for %v\n", ramMiB, o.rounds, o.settle, o.window)
	rows := []struct {
		name string
		of   func(idle) float64
	}{
		{"VMM beside guest memory, MiB", func(r idle) float64 { return mib(r.vm.anonymous + r.vm.file) }},
		{"  its own (anonymous)", func(r idle) float64 { return mib(r.vm.anonymous) }},
		{"  pages of files", func(r idle) float64 { return mib(r.vm.file) }},
		{"other processes (husk run), MiB", func(r idle) float64 { return mib(r.helpers.anonymous + r.helpers.file) }},
		{"  their own (anonymous)", func(r idle) float64 { return mib(r.helpers.anonymous) }},
		{"guest memory touched, MiB", func(r idle) float64 { return mib(r.vm.guest) }},
		{"threads", func(r idle) float64 { return float64(r.threads) }},
		{"context switches a second", func(r idle) float64 { return float64(r.all.switches) / o.window.Seconds() }},
		{"  beside the vCPU's thread", func(r idle) float64 { return float64(r.all.switches-r.busiest.switches) / o.window.Seconds() }},
		{"CPU time a second, ms", func(r idle) float64 { return float64(r.all.cpu) / 1e6 / o.window.Seconds() }},
		{"  beside the vCPU's thread", func(r idle) float64 { return float64(r.all.cpu-r.busiest.cpu) / 1e6 / o.window.Seconds() }},
		{"other processes: switches a second", func(r idle) float64 { return float64(r.beside.switches) / o.window.Seconds() }},
	}
	fmt.Printf("%-36s", "")
	for _, w := range ways {
		fmt.Printf(" %24s", w.name)
	}
	fmt.Println()
	for _, row := range rows {
		fmt.Printf("%-36s", row.name)
		for i := range ways {
			var v []float64
			for _, r := range results[i] {
				v = append(v, row.of(r))
			}
			fmt.Printf(" %24v", spreadOf(v))
		}
		fmt.Println()
	}
	return nil
}

// bootLimit is far more than any boot takes.
const bootLimit = 90 * time.Second

// watch boots a guest, lets it settle, and watches its processes.
func (o options) watch(args []string) (r idle, err error) {
	cmd := exec.Command(args[0], args[1:]...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return r, err
	}
	if err := cmd.Start(); err != nil {
		return r, err
	}
	defer func() {
		_ = cmd.Process.Signal(syscall.SIGKILL)
		_ = cmd.Wait()
	}()
	limit := time.AfterFunc(bootLimit, func() { _ = cmd.Process.Kill() })
	defer limit.Stop()
	if said, err := until(out, firstLine); err != nil {
		return r, fmt.Errorf("no line %q: %w\n%s%s", firstLine, err, said, stderr.String())
	}
	limit.Stop()
	time.Sleep(o.settle)
	return o.observe(cmd.Process.Pid)
}

// until reads lines until one has the text in it. It returns what it read.
func until(r io.Reader, text string) (string, error) {
	var said strings.Builder
	in := bufio.NewScanner(r)
	for in.Scan() {
		said.WriteString(in.Text() + "\n")
		if strings.Contains(in.Text(), text) {
			return said.String(), nil
		}
	}
	if err := in.Err(); err != nil {
		return said.String(), err
	}
	return said.String(), io.ErrUnexpectedEOF
}

// observe watches a process and its children for a while. One of them must hold the guest's memory.
func (o options) observe(pid int) (r idle, err error) {
	pids, err := children(pid)
	if err != nil {
		return r, err
	}
	pids = append(pids, pid)
	vm := 0
	for _, p := range pids {
		maps, err := smaps(p)
		if err != nil {
			return r, err
		}
		if m, err := split(maps, ramMiB<<20); err == nil && vm == 0 {
			vm, r.vm = p, m
		} else {
			r.helpers.add(maps)
		}
	}
	if vm == 0 {
		return r, fmt.Errorf("no process of %v has a mapping of %d MiB", pids, ramMiB)
	}
	before := make([]map[string]thread, len(pids))
	for i, p := range pids {
		if before[i], err = threads(p); err != nil {
			return r, err
		}
	}
	time.Sleep(o.window)
	for i, p := range pids {
		after, err := threads(p)
		if err != nil {
			return r, err
		}
		d, busiest := since(before[i], after)
		if p == vm {
			r.all, r.busiest, r.threads = d, busiest, len(after)
			continue
		}
		r.beside.switches += d.switches
		r.beside.cpu += d.cpu
	}
	return r, nil
}
