package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/husk-vm/husk/internal/instance"
	urfave "github.com/urfave/cli/v2"
)

// Env is what the command line uses of its process.
type Env struct {
	Stdin, Stdout, Stderr *os.File
	Version               string
}

// exitError carries an exit code past urfave/cli. A nil err was already reported.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit status %d", e.code)
	}
	return e.err.Error()
}
func (e *exitError) Unwrap() error { return e.err }

// usageErrorf is a mistake in the command line.
func usageErrorf(format string, args ...any) error {
	return &exitError{instance.ExitFailure, fmt.Errorf(format, args...)}
}

// Main runs the command line and returns the process's exit code. args includes the program's name.
func Main(ctx context.Context, args []string, env Env) int {
	app := newApp(env)
	err := app.RunContext(ctx, args)
	if err == nil {
		return 0
	}
	code := 1
	var e *exitError
	if errors.As(err, &e) {
		code = e.code
		err = e.err
	}
	if err != nil {
		fmt.Fprintf(env.Stderr, "husk: %v\n", err)
	}
	return code
}

func newApp(env Env) *urfave.App {
	app := &urfave.App{
		Name:                 "husk",
		Usage:                "Linux virtual machines from one file, without root",
		Version:              env.Version,
		HideHelpCommand:      true,
		EnableBashCompletion: true,
		// A disk has options behind commas, an environment variable may have commas in it.
		DisableSliceFlagSeparator: true,
		Writer:                    env.Stdout,
		ErrWriter:                 env.Stderr,
		ExitErrHandler:            func(*urfave.Context, error) {},
		OnUsageError:              usageError,
		Commands: []*urfave.Command{
			runCommand(env),
			doctorCommand(env),
			versionCommand(env),
		},
		Action: func(c *urfave.Context) error {
			if c.Args().Present() {
				return usageErrorf("unknown command %q: see `husk --help`", c.Args().First())
			}
			return urfave.ShowAppHelp(c)
		},
	}
	for _, c := range app.Commands {
		c.OnUsageError = usageError
	}
	return app
}

// usageError keeps the library from printing the whole help for a mistyped flag.
func usageError(c *urfave.Context, err error, _ bool) error {
	help := "husk --help"
	if c.Command != nil && c.Command.Name != "" && c.Command.Name != "husk" {
		help = "husk " + c.Command.Name + " --help"
	}
	return usageErrorf("%w: see `%s`", err, help)
}

func versionCommand(env Env) *urfave.Command {
	return &urfave.Command{
		Name:  "version",
		Usage: "print the version",
		Action: func(*urfave.Context) error {
			_, err := io.WriteString(env.Stdout, "husk "+env.Version+"\n")
			return err
		},
	}
}
