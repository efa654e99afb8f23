package box

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"

	"golang.org/x/term"
	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"
)

// shell is sh [-c command [name [argument…]] | file [argument…] | -s [argument…]], with the options of set(1) before those.
func shell(_ string, args []string, s stdio) int {
	var set []string // options for the interpreter
	command, fromStdin := false, false
	for len(args) > 0 && len(args[0]) > 1 && strings.ContainsRune("-+", rune(args[0][0])) && args[0] != "--" {
		opt := args[0]
		args = args[1:]
		if opt == "-o" || opt == "+o" {
			if len(args) == 0 {
				return fail(s, errors.New("-o needs a name"))
			}
			set = append(set, opt, args[0])
			args = args[1:]
			continue
		}
		for _, c := range opt[1:] {
			switch c {
			case 'c':
				command = true
			case 's':
				fromStdin = true
			case 'l', 'i', 'm': // a login or interactive shell behaves the same here, and there is no job control
			default:
				set = append(set, opt[:1]+string(c))
			}
		}
	}
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	var src io.Reader = s.in
	name := "sh"
	switch {
	case command:
		if len(args) == 0 {
			return fail(s, errors.New("-c needs a command"))
		}
		src, args = strings.NewReader(args[0]), args[1:]
		if len(args) > 0 {
			name, args = args[0], args[1:]
		}
	case !fromStdin && len(args) > 0:
		f, err := os.Open(args[0])
		if err != nil {
			fail(s, err)
			return 127 // POSIX sh, "EXIT STATUS"
		}
		defer f.Close()
		src, name, args = f, args[0], args[1:]
	}
	params := append(append(set, "--"), args...)
	options := []interp.RunnerOption{interp.StdIO(s.in, s.out, s.err), interp.Params(params...)}
	if f, ok := src.(*os.File); ok && f == s.in && term.IsTerminal(int(f.Fd())) {
		return interactive(options, f, s)
	}
	return program(options, src, name, s)
}

// program runs a whole script. It is read before there is an interpreter, which may read the same input.
func program(options []interp.RunnerOption, src io.Reader, name string, s stdio) int {
	prog, err := syntax.NewParser().Parse(src, name)
	if err != nil {
		fail(s, err)
		return 2
	}
	r, err := interp.New(options...)
	if err != nil {
		return fail(s, err)
	}
	return status(r.Run(context.Background(), prog), s)
}

// interactive reads commands from a terminal, which edits lines itself.
func interactive(options []interp.RunnerOption, in io.Reader, s stdio) int {
	r, err := interp.New(options...)
	if err != nil {
		return fail(s, err)
	}
	interrupts := make(chan os.Signal, 1) // ^C is for the command, which is in our group
	signal.Notify(interrupts, os.Interrupt)
	defer signal.Stop(interrupts)
	p := syntax.NewParser()
	code := 0
	prompt := func() { fmt.Fprint(s.err, "# ") }
	for {
		prompt()
		err := p.Interactive(in, func(stmts []*syntax.Stmt) bool {
			if p.Incomplete() {
				fmt.Fprint(s.err, "> ")
				return true
			}
			for _, stmt := range stmts {
				code = status(r.Run(context.Background(), stmt), s)
				if r.Exited() {
					return false
				}
			}
			prompt()
			return true
		})
		if err == nil || r.Exited() {
			return code
		}
		fail(s, err) // a syntax error: the next line is a new chance
	}
}

// builtin is a command that the shell has built in, as a program.
func builtin(name string, args []string, s stdio) int {
	return shell("sh", append([]string{"-c", name + ` "$@"`, name}, args...), s)
}

// status turns the interpreter's verdict into an exit status.
func status(err error, s stdio) int {
	if err == nil {
		return 0
	}
	if code, ok := interp.IsExitStatus(err); ok {
		return int(code)
	}
	return fail(s, err)
}

func fail(s stdio, err error) int {
	fmt.Fprintf(s.err, "sh: %v\n", err)
	return 1
}
