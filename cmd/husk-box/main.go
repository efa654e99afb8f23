// Command husk-box is the guest's shell and commands in one program. See guest/box, and guest/initramfs, which builds it with
// u-root's commands in it.
package main

import (
	"os"

	"github.com/husk-vm/husk/guest/box"
)

func main() { os.Exit(box.Main(commands())) }
