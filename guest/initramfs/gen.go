//go:build ignore

// Command gen builds the archives that package initramfs embeds: go run gen.go [arch…], in the package's directory. Without arguments
// it builds the one for this machine.
package main

import (
	"context"
	"fmt"
	"os"
	"runtime"

	"github.com/husk-vm/husk/guest/initramfs"
)

func main() {
	archs := os.Args[1:]
	if len(archs) == 0 {
		archs = []string{runtime.GOARCH}
	}
	if err := run(archs); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(archs []string) error {
	const root = "../.."
	sum, err := initramfs.SourceSum(root)
	if err != nil {
		return err
	}
	for _, arch := range archs {
		name := "built/initramfs-" + arch
		if old, err := os.ReadFile(name + ".sum"); err == nil && string(old) == sum+"\n" {
			continue
		}
		b, err := initramfs.Build(context.Background(), root, arch)
		if err != nil {
			return err
		}
		if err := os.WriteFile(name+".cpio", b, 0o644); err != nil {
			return err
		}
		if err := os.WriteFile(name+".sum", []byte(sum+"\n"), 0o644); err != nil {
			return err
		}
	}
	return nil
}
