//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"time"

	"github.com/husk-vm/husk/vmm"
)

// inProcess counts what cannot be seen from outside: goroutines, exits and kicks of a VM in this process.
func inProcess(o options) (err error) {
	none := runtime.NumGoroutine()
	kernel, err := openFile(o.kernel)
	if err != nil {
		return err
	}
	defer kernel.Close()
	initrd, err := openFile(o.initrd)
	if err != nil {
		return err
	}
	defer initrd.Close()
	r, w := io.Pipe()
	defer r.Close()
	vm, err := vmm.New(vmm.Config{
		MemoryBytes: ramMiB << 20,
		Boot:        vmm.Linux{Kernel: kernel, Initrd: initrd, Cmdline: cmdline + " stay"},
		Serial:      vmm.Console{Out: w},
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, vm.Close()) }()
	built := runtime.NumGoroutine()
	if err := vm.Start(context.Background()); err != nil {
		return err
	}
	limit := time.AfterFunc(bootLimit, func() { r.CloseWithError(errors.New("the guest takes too long")) })
	defer limit.Stop()
	if said, err := until(r, firstLine); err != nil {
		return fmt.Errorf("in process: %w\n%s", err, said)
	}
	limit.Stop()
	boot := vm.Stats()
	go func() { _, _ = io.Copy(io.Discard, r) }()
	time.Sleep(o.settle)
	before := vm.Stats()
	time.Sleep(o.window)
	after := vm.Stats()
	running := runtime.NumGoroutine() - 1 // without the copier of the console
	if err := vm.Close(); err != nil {
		return err
	}
	r.Close()
	closed := none
	for range 100 { // the copier needs a moment to end
		if closed = runtime.NumGoroutine(); closed <= none {
			break
		}
		time.Sleep(time.Millisecond)
	}
	rate := func(after, before uint64) float64 { return float64(after-before) / o.window.Seconds() }
	fmt.Printf("one VM in a Go program (%s): goroutines: built %+d, idle %+d, closed %+d\n", vm.Backend(), built-none, running-none, closed-none)
	fmt.Printf("  to user space: %d exits (%d port, %d memory-mapped, %d end of interrupt), %d kicks\n",
		boot.Exits, boot.PortExits, boot.MMIOExits, boot.EOIExits, boot.Kicks)
	fmt.Printf("  idle, a second: %.1f exits (%.1f port, %.1f memory-mapped, %.1f end of interrupt), %.1f kicks\n",
		rate(after.Exits, before.Exits), rate(after.PortExits, before.PortExits), rate(after.MMIOExits, before.MMIOExits),
		rate(after.EOIExits, before.EOIExits), rate(after.Kicks, before.Kicks))
	return nil
}

// file is an open file with its size when it was opened.
type file struct {
	*os.File
	size int64
}

// Size is in bytes.
func (f file) Size() int64 { return f.size }

func openFile(name string) (file, error) {
	f, err := os.Open(name)
	if err != nil {
		return file{}, err
	}
	st, err := f.Stat()
	if err != nil {
		f.Close()
		return file{}, err
	}
	return file{f, st.Size()}, nil
}
