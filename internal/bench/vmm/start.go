//go:build linux

package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// startLimit is far more than any start takes.
const startLimit = 60 * time.Second

// firstInstruction compares the CPU time from exec to the end of a guest that ends with its second instruction.
func firstInstruction(o options) error {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	tiny := filepath.Join(dir, "tiny")
	if err := os.WriteFile(tiny, tinyKernel(), 0o644); err != nil {
		return err
	}
	ways := []struct {
		name string
		args []string
	}{
		{"/bin/true", []string{"/bin/true"}},
		{"husk version", []string{o.husk, "version"}},
		{"husk run", o.huskArgs(tiny, "none")},
		{"qemu --version", []string{qemuProgram, "--version"}},
		{"qemu microvm", o.qemuArgs(tiny)},
	}
	cpu, wall := make([][]float64, len(ways)), make([][]float64, len(ways))
	for round := range o.quick + 1 { // the first one warms caches up
		for i, w := range ways {
			c, t, err := timed(w.args)
			if err != nil {
				return fmt.Errorf("%s: %w", w.name, err)
			}
			if round > 0 {
				cpu[i], wall[i] = append(cpu[i], ms(c)), append(wall[i], ms(t))
			}
		}
	}
	fmt.Printf("start: a PVH kernel of 2 instructions, the second of which ends the VM; %d MiB, %d starts each, in turns\n", ramMiB, o.quick)
	fmt.Println("CPU time of the process tree from exec to its end: no less than that to the guest's first instruction")
	fmt.Printf("%-16s %26s %9s %26s\n", "", "cpu, ms", "x true", "wall, ms")
	for i, w := range ways {
		fmt.Printf("%-16s %26v %9s %26v\n", w.name, spreadOf(cpu[i]), ratio(spreadOf(cpu[i]), spreadOf(cpu[0])), spreadOf(wall[i]))
	}
	return nil
}

// timed runs a program to its end.
func timed(args []string) (cpu, wall time.Duration, err error) {
	cmd := exec.Command(args[0], args[1:]...)
	var out bytes.Buffer
	cmd.Stderr = &out
	start := time.Now()
	if err := cmd.Start(); err != nil {
		return 0, 0, err
	}
	limit := time.AfterFunc(startLimit, func() { _ = cmd.Process.Kill() })
	defer limit.Stop()
	// QEMU takes the guest's end for a reset; husk calls it a failure, which it is.
	if err := cmd.Wait(); err != nil && !strings.Contains(out.String(), "triple fault") {
		return 0, 0, fmt.Errorf("%w: %s", err, strings.TrimSpace(out.String()))
	}
	usage := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano()), time.Since(start), nil
}

func ms(d time.Duration) float64 { return float64(d) / 1e6 }

// sizes prints how large the programs are.
func sizes(o options) error {
	fmt.Println("program files")
	for _, name := range []string{o.husk, qemuProgram} {
		file, err := exec.LookPath(name)
		if err != nil {
			return err
		}
		st, err := os.Stat(file)
		if err != nil {
			return err
		}
		libs, total := libraries(file)
		fmt.Printf("%-20s %6.1f MiB, and %d shared libraries of %.1f MiB\n", filepath.Base(name), mib(uint64(st.Size())), libs, mib(total))
	}
	return nil
}

// libraries asks the dynamic linker what a program loads; a static program loads none.
func libraries(file string) (n int, size uint64) {
	out, _ := exec.Command("ldd", file).Output() // fails for static programs
	for line := range strings.Lines(string(out)) {
		_, path, ok := strings.Cut(line, "=> ")
		path, _, _ = strings.Cut(strings.TrimSpace(path), " (")
		if st, err := os.Stat(path); ok && err == nil {
			n++
			size += uint64(st.Size())
		}
	}
	return n, size
}

func mib(n uint64) float64 { return float64(n) / (1 << 20) }
