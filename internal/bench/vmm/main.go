//go:build linux

// Command vmm measures what a VMM costs beside its guest: memory, start-up, threads and wake-ups, for Husk and for QEMU
// with the same kernel, initramfs and memory, in turns.
//
//	vmm -husk bin/husk -kernel bzImage -initrd init.cpio [-rounds 5] [-window 10s]
//
// It must run where /dev/kvm is usable. The initramfs holds internal/bench/bootinit.
package main

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strconv"
	"time"
)

// options are the command line.
type options struct {
	husk, kernel, initrd string
	rounds               int
	settle, window       time.Duration
	quick                int // runs of what takes milliseconds
}

// ramMiB is the guests' memory: a size that no other mapping of a process has by chance.
const ramMiB = 240

func main() {
	var o options
	flag.StringVar(&o.husk, "husk", "bin/husk", "the husk program")
	flag.StringVar(&o.kernel, "kernel", "", "bzImage")
	flag.StringVar(&o.initrd, "initrd", "", "cpio archive with internal/bench/bootinit as /init")
	flag.IntVar(&o.rounds, "rounds", 5, "guests of each")
	flag.IntVar(&o.quick, "quick", 11, "starts of each, for the time to the first instruction")
	flag.DurationVar(&o.settle, "settle", 3*time.Second, "how long a guest may settle after its boot")
	flag.DurationVar(&o.window, "window", 10*time.Second, "how long an idle guest is watched")
	flag.Parse()
	for _, part := range []func(options) error{sizes, firstInstruction, idleGuests, inProcess} {
		if err := part(o); err != nil {
			fmt.Fprintln(os.Stderr, "vmm:", err)
			os.Exit(1)
		}
		fmt.Println()
	}
}

const (
	qemuProgram = "qemu-system-x86_64"
	cmdline     = "console=ttyS0 quiet panic=-1"
)

// huskArgs boots a kernel of the bench's own under husk.
func (o options) huskArgs(kernel, initrd string) []string {
	return []string{o.husk, "run", "--memory", strconv.Itoa(ramMiB) + "M", "--kernel", kernel, "--initrd", initrd, "--cmdline", cmdline + " stay"}
}

// qemuArgs boots the same under QEMU, with the least it can be told to have.
func (o options) qemuArgs(kernel string, more ...string) []string {
	return append([]string{
		qemuProgram, "-M", "microvm,acpi=on,pcie=on,rtc=on,pic=on,pit=on,isa-serial=on,x-option-roms=off,auto-kernel-cmdline=off",
		"-accel", "kvm", "-cpu", "host", "-m", strconv.Itoa(ramMiB), "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
		"-serial", "stdio", "-kernel", kernel, "-append", cmdline + " stay",
	}, more...)
}

// spread is a sample's minimum, median and maximum. It must not be empty.
type spread struct{ low, mid, high float64 }

func spreadOf(v []float64) spread {
	s := slices.Sorted(slices.Values(v))
	return spread{s[0], s[len(s)/2], s[len(s)-1]}
}

func (s spread) String() string { return fmt.Sprintf("%.1f (%.1f to %.1f)", s.mid, s.low, s.high) }

// ratio is a median beside the first one's.
func ratio(of, base spread) string {
	if base.mid == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f", of.mid/base.mid)
}
