// Command guest makes what the benchmarks boot: Husk's kernel as a file, and an initramfs with one program in it.
//
//	guest -init init -o directory    writes directory/bzImage and directory/init.cpio
package main

import (
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/husk-vm/husk/guest/initramfs"
	"github.com/husk-vm/husk/guest/kernel"
)

func main() {
	init := flag.String("init", "", "program to start as /init")
	dir := flag.String("o", "", "directory to write to")
	flag.Parse()
	if err := write(*init, *dir); err != nil {
		fmt.Fprintln(os.Stderr, "guest:", err)
		os.Exit(1)
	}
}

func write(init, dir string) error {
	program, err := os.ReadFile(init)
	if err != nil {
		return err
	}
	archive, err := initramfs.Archive([]initramfs.File{
		{Path: "/dev", Mode: fs.ModeDir | 0o755},
		{Path: "/dev/console", Mode: fs.ModeCharDevice | 0o600, Major: 5, Minor: 1},
		{Path: "/init", Mode: 0o755, Content: program},
	})
	if err != nil {
		return err
	}
	image, err := io.ReadAll(kernel.Image())
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "bzImage"), image, 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "init.cpio"), archive, 0o644)
}
