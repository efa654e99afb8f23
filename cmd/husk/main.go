// Command husk boots Linux virtual machines. See `husk --help`.
package main

import (
	"context"
	"os"

	"github.com/husk-vm/husk/internal/cli"
	"github.com/husk-vm/husk/internal/shim"
)

// version is set by the build.
var version = "0.1.0-dev"

func main() {
	if len(os.Args) > 1 && os.Args[1] == "vm" {
		os.Exit(shim.Main(os.Args[2:]))
	}
	os.Exit(cli.Main(context.Background(), os.Args, cli.Env{Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Version: version}))
}
