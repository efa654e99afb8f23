//go:build linux

// Command boot measures how long a kernel takes to user space under Husk and under QEMU: same kernel, same initramfs,
// same number of CPUs, in turns.
//
//	boot -husk bin/husk -kernel bzImage -initrd init.cpio [-rounds 7] [-cpus 1] [-memory 256]
//
// It must run where /dev/kvm is usable. Two figures a run: wall time from exec to the first line of user space, and CPU
// time of the whole process tree until the guest has powered off.
package main

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const firstLine = "user space is up"

// vmm is one way to boot.
type vmm struct {
	name string
	args []string
}

// result is one boot.
type result struct{ wall, cpu time.Duration }

func main() {
	husk := flag.String("husk", "bin/husk", "the husk program")
	kernel := flag.String("kernel", "", "bzImage")
	initrd := flag.String("initrd", "", "cpio archive with cmd/bootinit as /init")
	rounds := flag.Int("rounds", 7, "boots of each")
	cpus := flag.Int("cpus", 1, "CPUs of the guest")
	memory := flag.Int("memory", 256, "MiB of memory of the guest")
	flag.Parse()
	const cmdline = "console=ttyS0 quiet panic=-1"
	n, m := strconv.Itoa(*cpus), strconv.Itoa(*memory)
	qemu := func(machine ...string) []string {
		return append(append([]string{"qemu-system-x86_64"}, machine...), "-accel", "kvm", "-cpu", "host", "-smp", n, "-m", m,
			"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-serial", "stdio",
			"-kernel", *kernel, "-initrd", *initrd, "-append", cmdline)
	}
	vmms := []vmm{
		{"husk", []string{*husk, "run", "--cpus", n, "--memory", m + "M", "--kernel", *kernel, "--initrd", *initrd, "--cmdline", cmdline}},
		{"qemu microvm", qemu("-M", "microvm,acpi=on,pcie=on,rtc=on,pic=on,pit=on,isa-serial=on,x-option-roms=off,auto-kernel-cmdline=off")},
		{"qemu q35", qemu("-M", "q35")},
	}
	results, failed := make([][]result, len(vmms)), make([]int, len(vmms))
	for round := range *rounds + 1 { // the first one warms caches up
		for i, v := range vmms {
			r, err := boot(v.args)
			if err != nil {
				// A machine that hangs is a figure too; in the lab peers do it as well.
				fmt.Fprintf(os.Stderr, "%s: boot %d failed: %v\n", v.name, round, err)
				failed[i]++
				continue
			}
			if round > 0 {
				results[i] = append(results[i], r)
			}
		}
	}
	print(vmms, results, failed, *cpus, *memory)
}

// bootLimit is far more than any boot takes.
const bootLimit = 90 * time.Second

// boot runs one VM until it has powered off.
func boot(args []string) (result, error) {
	cmd := exec.Command(args[0], args[1:]...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return result{}, err
	}
	start := time.Now()
	if err := cmd.Start(); err != nil {
		return result{}, err
	}
	limit := time.AfterFunc(bootLimit, func() { cmd.Process.Kill() })
	defer limit.Stop()
	var r result
	var seen strings.Builder
	for in := bufio.NewScanner(out); in.Scan(); {
		if r.wall == 0 && strings.Contains(in.Text(), firstLine) {
			r.wall = time.Since(start)
		}
		seen.WriteString(in.Text() + "\n")
	}
	err = cmd.Wait()
	if err != nil || r.wall == 0 {
		return result{}, fmt.Errorf("no line %q (%v)\n%s%s", firstLine, err, seen.String(), stderr.String())
	}
	usage := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	r.cpu = time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
	return r, nil
}

func print(vmms []vmm, results [][]result, failed []int, cpus, memory int) {
	fmt.Printf("boot to the first line of user space: %d CPU, %d MiB, %d boots each, in turns\n", cpus, memory, len(results[0])+failed[0])
	fmt.Printf("%-14s %10s %17s %8s %12s %8s\n", "", "wall, ms", "(min to max)", "ratio", "cpu, ms", "ratio")
	var baseWall, baseCPU float64
	for i, v := range vmms {
		if failed[i] > 0 {
			fmt.Printf("%s: %d boots failed\n", v.name, failed[i])
		}
		if len(results[i]) == 0 {
			continue
		}
		wall := figures(results[i], func(r result) time.Duration { return r.wall })
		cpu := figures(results[i], func(r result) time.Duration { return r.cpu })
		if i == 0 {
			baseWall, baseCPU = wall[1], cpu[1]
		}
		fmt.Printf("%-14s %10.0f %8.0f to %5.0f %8.2f %12.0f %8.2f\n", v.name, wall[1], wall[0], wall[2], baseWall/wall[1], cpu[1], baseCPU/cpu[1])
	}
	fmt.Println("ratio: husk's median divided by this one's")
}

// figures are the minimum, median and maximum in milliseconds.
func figures(rs []result, of func(result) time.Duration) [3]float64 {
	var ms []float64
	for _, r := range rs {
		ms = append(ms, float64(of(r))/1e6)
	}
	slices.Sort(ms)
	return [3]float64{ms[0], ms[len(ms)/2], ms[len(ms)-1]}
}
