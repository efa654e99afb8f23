package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/husk-vm/husk/internal/hostos"
	"github.com/husk-vm/husk/internal/instance"
	urfave "github.com/urfave/cli/v2"
)

const runDescription = `Boots a virtual machine, runs COMMAND in it and ends with COMMAND's exit code. Standard input, output
and error are COMMAND's own. Without COMMAND the machine's console takes the terminal, and the run
ends when the guest powers off or reboots; type Ctrl-] to end it at once.

The guest is Husk's own small Linux unless --kernel or --initrd say otherwise. A guest with another
initrd must be booted without COMMAND, unless that initrd starts husk-agent.

Exit codes: COMMAND's own; 128+N if signal N killed it; 127 no such command in the guest, 126 not
executable, 125 Husk or the guest failed (one line says why), 124 --timeout passed, 130 Ctrl-C before
COMMAND ran. Without COMMAND: 0 for power-off and reboot.`

func runCommand(env Env) *urfave.Command {
	return &urfave.Command{
		Name:            "run",
		Usage:           "boot a virtual machine and run a command in it",
		ArgsUsage:       "-- COMMAND [ARG...]",
		Description:     runDescription,
		HideHelpCommand: true,
		Flags: []urfave.Flag{
			&urfave.IntFlag{Name: "cpus", Aliases: []string{"c"}, Value: 1, Usage: "number of CPUs"},
			&urfave.StringFlag{Name: "memory", Aliases: []string{"m"}, Value: "512M", Usage: "size of memory, as 512M or 2G"},
			&urfave.StringFlag{Name: "kernel", Usage: "bzImage or vmlinux `FILE` instead of the built-in kernel", TakesFile: true},
			&urfave.StringFlag{Name: "initrd", Usage: "initrd `FILE` instead of the built-in one; none for no initrd", TakesFile: true},
			&urfave.StringFlag{Name: "cmdline", Usage: "the whole kernel command `LINE`"},
			&urfave.StringSliceFlag{Name: "disk", Usage: "raw disk image or block device `FILE[,ro][,serial=ID]`; repeatable: /dev/vda, /dev/vdb, ..."},
			&urfave.StringSliceFlag{Name: "env", Aliases: []string{"e"}, Usage: "`NAME=VALUE` for COMMAND, or NAME to pass the present value; repeatable"},
			&urfave.StringFlag{Name: "workdir", Aliases: []string{"w"}, Usage: "COMMAND's working `DIR` in the guest"},
			&urfave.UintFlag{Name: "user", Aliases: []string{"u"}, Usage: "numeric user and group `ID` of COMMAND"},
			&urfave.BoolFlag{Name: "tty", Aliases: []string{"t"}, Usage: "give COMMAND a terminal, with Ctrl-C and resizing"},
			&urfave.StringFlag{Name: "console", Usage: "where the guest's console goes: off, stdio, stderr or `FILE` (default: off with COMMAND, else stdio)"},
			&urfave.DurationFlag{Name: "timeout", Usage: "end the run after `TIME`, as 30s or 5m"},
			&urfave.DurationFlag{Name: "ready-timeout", Value: defaultReadyTimeout, Usage: "how long the guest may take until it can run COMMAND"},
			&urfave.BoolFlag{Name: "reboot", Usage: "let the guest reboot instead of ending the run"},
			&urfave.BoolFlag{Name: "exec", Usage: "COMMAND is a program of this host: copy it and ./testdata into the guest, for go test -exec 'husk run --exec --'"},
			&urfave.StringFlag{Name: "backend", Usage: "hypervisor to use; see `husk doctor`"},
			&urfave.BoolFlag{Name: "debug", Usage: "log what Husk does on standard error"},
		},
		Action: func(c *urfave.Context) error {
			spec, err := runSpec(c, env)
			if err != nil {
				return err
			}
			return runVM(c.Context, env, spec)
		},
	}
}

// runSpec turns flags into a Spec. Nothing is left to be looked up later: paths are absolute, sizes are bytes.
func runSpec(c *urfave.Context, env Env) (instance.Spec, error) {
	spec := instance.Spec{
		Name: "run", CPUs: c.Int("cpus"), Backend: c.String("backend"), Cmdline: c.String("cmdline"),
		Timeout: c.Duration("timeout"), ReadyTimeout: c.Duration("ready-timeout"), Reboot: c.Bool("reboot"), Debug: c.Bool("debug"),
	}
	if spec.CPUs < 1 {
		return spec, usageErrorf("--cpus %d: at least 1 is needed", spec.CPUs)
	}
	if spec.Timeout < 0 || c.IsSet("timeout") && spec.Timeout == 0 {
		return spec, usageErrorf("--timeout %v: must be more than nothing", spec.Timeout)
	}
	if spec.ReadyTimeout < 0 {
		return spec, usageErrorf("--ready-timeout %v: must not be negative", spec.ReadyTimeout)
	}
	var err error
	if spec.MemoryBytes, err = parseSize(c.String("memory")); err != nil {
		return spec, usageErrorf("--memory: %w", err)
	}
	if spec.MemoryBytes &^= 4095; spec.MemoryBytes == 0 {
		return spec, usageErrorf("--memory %s: at least 16M is needed", c.String("memory"))
	}
	if spec.Kernel, err = inputFile("kernel", c.String("kernel")); err != nil {
		return spec, err
	}
	if c.String("initrd") == "none" {
		spec.NoInitrd = true
	} else if spec.Initrd, err = inputFile("initrd", c.String("initrd")); err != nil {
		return spec, err
	}
	for _, text := range c.StringSlice("disk") {
		d, err := parseDisk(text)
		if err != nil {
			return spec, err
		}
		spec.Disks = append(spec.Disks, d)
	}
	if err := execSpec(c, env, &spec); err != nil {
		return spec, err
	}
	return spec, consoleSpec(c, &spec)
}

// inputFile makes a path absolute and checks early that the file can be read, so that the message names the flag.
func inputFile(flag, path string) (string, error) {
	if path == "" {
		return "", nil
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", usageErrorf("--%s %s: %w", flag, path, err)
	}
	f, err := os.Open(abs)
	if err != nil {
		return "", usageErrorf("--%s: %w", flag, err)
	}
	defer f.Close()
	if st, err := f.Stat(); err == nil && st.IsDir() {
		return "", usageErrorf("--%s %s: is a directory", flag, path)
	}
	return abs, nil
}

// parseDisk reads FILE[,ro][,serial=ID]. A file name with a comma cannot be given; a link to it can.
func parseDisk(text string) (instance.DiskSpec, error) {
	path, options, _ := strings.Cut(text, ",")
	if path == "" {
		return instance.DiskSpec{}, usageErrorf("--disk %q: a file name is needed", text)
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return instance.DiskSpec{}, usageErrorf("--disk %s: %w", path, err)
	}
	d := instance.DiskSpec{Path: abs}
	for option := range strings.SplitSeq(options, ",") {
		switch key, value, _ := strings.Cut(option, "="); {
		case option == "":
		case option == "ro":
			d.ReadOnly = true
		case key == "serial" && value != "" && len(value) <= 20:
			d.Serial = value
		case key == "serial":
			return d, usageErrorf("--disk %s: a serial has 1 to 20 bytes", path)
		default:
			return d, usageErrorf("--disk %s: unknown option %q: there is ro and serial=ID", path, option)
		}
	}
	return d, nil
}

func execSpec(c *urfave.Context, env Env, spec *instance.Spec) error {
	argv := instance.Args(c.Args().Slice())
	if len(argv) == 0 {
		for _, flag := range []string{"env", "workdir", "user", "tty", "exec"} {
			if c.IsSet(flag) {
				return usageErrorf("--%s needs a COMMAND", flag)
			}
		}
		return nil
	}
	e := &instance.ExecSpec{Argv: argv, Dir: c.String("workdir"), TTY: c.Bool("tty"), HostProgram: c.Bool("exec")}
	if u := c.Uint("user"); u <= 1<<32-2 {
		e.User = uint32(u)
	} else {
		return usageErrorf("--user %d: not a user ID", u)
	}
	for _, v := range c.StringSlice("env") {
		name, _, set := strings.Cut(v, "=")
		if name == "" {
			return usageErrorf("--env %q: a name is needed", v)
		}
		if !set {
			value, ok := os.LookupEnv(name)
			if !ok {
				continue // as env(1)-like flags of other tools do: nothing to pass
			}
			v += "=" + value
		}
		e.Env = append(e.Env, v)
	}
	if e.TTY {
		if !hostos.IsTerminal(env.Stdin) {
			return usageErrorf("--tty: standard input is not a terminal")
		}
		cols, rows, err := hostos.TerminalSize(env.Stdin)
		if err != nil {
			return usageErrorf("--tty: %w", err)
		}
		e.Cols, e.Rows, e.Term = cols, rows, os.Getenv("TERM")
	}
	if e.HostProgram {
		wd, err := os.Getwd()
		if err != nil {
			return usageErrorf("--exec: %w", err)
		}
		e.HostDir = wd
	}
	spec.Exec = e
	return nil
}

func consoleSpec(c *urfave.Context, spec *instance.Spec) error {
	where := c.String("console")
	if where == "" {
		where = string(instance.ConsoleOff)
		if spec.Exec == nil {
			where = string(instance.ConsoleStdio)
		}
	}
	switch mode := instance.ConsoleMode(where); mode {
	case instance.ConsoleOff, instance.ConsoleToStderr:
		spec.Console = mode
	case instance.ConsoleStdio:
		if spec.Exec != nil {
			return usageErrorf("--console stdio: COMMAND has standard input and output; use --console stderr or a file")
		}
		spec.Console = mode
	default:
		abs, err := filepath.Abs(where)
		if err != nil {
			return usageErrorf("--console %s: %w", where, err)
		}
		if st, err := os.Stat(filepath.Dir(abs)); err != nil || !st.IsDir() {
			return usageErrorf("--console %s: %w", where, cmpErr(err, errors.New("no such directory")))
		}
		spec.Console, spec.ConsoleFile = instance.ConsoleToFile, abs
	}
	return nil
}

func cmpErr(err, other error) error {
	if err != nil {
		return fmt.Errorf("%w", err)
	}
	return other
}
