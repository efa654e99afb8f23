package lab

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"path/filepath"
	"time"
)

// options are what the command line says.
type options struct {
	session   string        // name that keeps labs apart; empty means the module the working directory is in
	memoryMiB int           // the outer machine's memory
	smp2      bool          // two host threads for two CPUs
	idle      time.Duration // the machine ends after so long without a command
	life      time.Duration // and after so long in all
	boot      time.Duration // how long it may take to start
	writable  []string
	verbose   bool
	args      []string // sub-command, or the command after "--"
	command   bool     // args is a command to run inside
	self      string   // the program that runs inside as init; empty means this one, but in tests
	root      string   // where the host keeps boot and lib/modules: "/", but in tests
}

// Defaults of options. A machine of 8 GiB holds an inner guest of 5 GiB with its monitor; QEMU allocates what is touched.
const (
	defaultMemoryMiB = 8192
	defaultIdle      = 10 * time.Minute
	defaultLife      = 6 * time.Hour
	defaultBoot      = 2 * time.Minute
)

const usageText = `usage: kvmlab [options] -- command [argument ...]
       kvmlab [options] status | stop | setup | console

kvmlab runs a command on a Linux machine that has a genuine, nested /dev/kvm (kvm-amd under QEMU's emulation), for
hosts that have none. The machine starts with the first command and serves all later ones until it has been idle.

The command sees the host's root file system, read-only and fresh; the same working directory, environment, standard
streams and signals; and runs as root. /tmp, /var/tmp and /run are writable and forgotten when it ends; TMPDIR is in
memory. What it leaves running is killed when it ends. With go test, which starts its runner in the package's directory:

    go test -exec "$PWD/bin/kvmlab --" ./internal/hv/kvm

  status    say whether the machine runs and what it is doing
  stop      end it
  setup     install the packages it needs (Debian, as root), if they are missing
  console   print the outer kernel's console

options:
`

const usageExit = `
exit code: the command's own; 128+n when signal n ended it; 127 when it was not found, 126 when it could not be
executed, 125 when the lab itself failed (one line on standard error says why and what to do).
`

// errUsage is a command line that makes no sense; the message has been printed.
var errUsage = errors.New("usage")

// parseOptions reads a command line, args[0] being the program. Help and errors go to w.
func parseOptions(args []string, w io.Writer) (options, error) {
	o := options{root: "/"}
	fs := flag.NewFlagSet("kvmlab", flag.ContinueOnError)
	fs.SetOutput(w)
	fs.Usage = func() {
		fmt.Fprint(w, usageText)
		fs.PrintDefaults()
		fmt.Fprint(w, usageExit)
	}
	fs.StringVar(&o.session, "session", "", "name of the machine to use (default: one per Go module root)")
	fs.IntVar(&o.memoryMiB, "memory", defaultMemoryMiB, "memory of a new machine in `MiB`")
	fs.BoolVar(&o.smp2, "smp2", false, "two CPUs that run in parallel (slower to start; for tests of true parallelism)")
	fs.DurationVar(&o.idle, "idle", defaultIdle, "end a new machine after so long without a command")
	fs.DurationVar(&o.life, "max", defaultLife, "end a new machine after so long in all")
	fs.DurationVar(&o.boot, "boot-timeout", defaultBoot, "how long a new machine may take to start")
	fs.BoolVar(&o.verbose, "v", false, "say what the lab does")
	fs.Func("rw", "host `directory` that the command may write to (repeatable)", func(s string) error {
		abs, err := filepath.Abs(s)
		o.writable = append(o.writable, abs)
		return err
	})
	if err := fs.Parse(args[1:]); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return o, err
		}
		return o, errUsage
	}
	o.args = fs.Args()
	// flag stops at "--" and swallows it; a sub-command is what stands there without one.
	if i := len(args) - len(o.args) - 1; i > 0 && args[i] == "--" {
		o.command = true
	}
	switch {
	case len(o.args) == 0:
		fs.Usage()
		return o, errUsage
	case o.memoryMiB < 512 || o.memoryMiB > 1<<20:
		fmt.Fprintf(w, "kvmlab: --memory %d: want 512 to %d MiB\n", o.memoryMiB, 1<<20)
		return o, errUsage
	case o.idle <= 0 || o.life <= 0 || o.boot <= 0:
		fmt.Fprintln(w, "kvmlab: --idle, --max and --boot-timeout want a duration above zero")
		return o, errUsage
	}
	return o, nil
}
