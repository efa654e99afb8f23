package vmm_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"time"

	"github.com/husk-vm/husk/vmm"
)

// Boot a kernel with an initramfs and show its console.
func Example() {
	kernel, err := os.ReadFile("bzImage")
	if err != nil {
		log.Fatal(err)
	}
	initrd, err := os.ReadFile("initramfs.cpio")
	if err != nil {
		log.Fatal(err)
	}
	vm, err := vmm.New(vmm.Config{
		CPUs:        2,
		MemoryBytes: 1 << 30,
		Boot: vmm.Linux{
			Kernel: bytes.NewReader(kernel), Initrd: bytes.NewReader(initrd),
			Cmdline: "console=ttyS0 panic=-1",
		},
		Serial: vmm.Console{In: os.Stdin, Out: os.Stdout},
	})
	if err != nil {
		log.Fatal(err) // what is wrong with the configuration or this host, and what to do
	}
	defer vm.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := vm.Start(ctx); err != nil {
		log.Fatal(err)
	}
	exit, err := vm.Wait(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("the guest ended:", exit.Reason)
}

// memory is a disk in memory.
type memory struct{ data []byte }

func (m memory) ReadAt(p []byte, off int64) (int, error) {
	return bytes.NewReader(m.data).ReadAt(p, off)
}

func (m memory) WriteAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) > int64(len(m.data)) {
		return 0, io.ErrShortWrite
	}
	return copy(m.data[off:], p), nil
}
func (m memory) Size() int64 { return int64(len(m.data)) }
func (memory) Sync() error   { return nil }

// Any store can be a disk: this one forgets everything.
func ExampleDiskBackend() {
	disk := vmm.Disk{Backend: memory{make([]byte, 64<<20)}, Serial: "scratch"}
	fmt.Println(disk.Backend.Size() >> 20)
	// Output: 64
}

// Ask what can run guests here.
func ExampleBackends() {
	for _, b := range vmm.Backends(context.Background()) {
		if b.Usable {
			fmt.Printf("%s runs %.0f million instructions a second\n", b.Name, b.KernelRate/1e6)
		} else {
			fmt.Printf("%s: %s (%s)\n", b.Name, b.Reason, b.Advice)
		}
	}
}

// Talk to a program in the guest over vsock.
func ExampleVM_Listen() {
	var vm *vmm.VM // made by New
	ln, err := vm.Listen(1234)
	if err != nil {
		log.Fatal(err)
	}
	defer ln.Close()
	conn, err := ln.Accept() // the guest connects to CID 2, port 1234
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	io.Copy(os.Stdout, conn)
}
