// Command kvmlab runs a command on a Linux machine that has a working /dev/kvm: see package lab.
package main

import (
	"os"

	"github.com/husk-vm/husk/internal/lab"
)

func main() { os.Exit(lab.Main(os.Args)) }
