package box

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"
)

// environment is env: prints the environment, or runs a program in another [POSIX env].
func environment(name string, args []string, s stdio) int {
	vars := os.Environ()
	for len(args) > 0 {
		switch a := args[0]; {
		case a == "-i" || a == "-":
			vars = nil
		case a == "-u" && len(args) > 1:
			args = args[1:]
			vars = without(vars, args[0])
		case strings.Contains(a, "=") && a[0] != '=':
			k, _, _ := strings.Cut(a, "=")
			vars = append(without(vars, k), a)
		case a == "--":
			return run(name, args[1:], vars, s)
		case a[0] == '-':
			fmt.Fprintf(s.err, "%s: unknown option %s\n", name, a)
			return 125
		default:
			return run(name, args, vars, s)
		}
		args = args[1:]
	}
	return run(name, nil, vars, s)
}

func without(vars []string, name string) []string {
	var out []string
	for _, kv := range vars {
		if k, _, _ := strings.Cut(kv, "="); k != name {
			out = append(out, kv)
		}
	}
	return out
}

// run becomes a program, or prints the environment if there is none.
func run(name string, args, vars []string, s stdio) int {
	if len(args) == 0 {
		for _, kv := range vars {
			fmt.Fprintln(s.out, kv)
		}
		return 0
	}
	file, err := exec.LookPath(args[0])
	if err == nil {
		err = become(file, args, vars)
	}
	fmt.Fprintf(s.err, "%s: %s: %v\n", name, args[0], err)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, exec.ErrNotFound) {
		return 127
	}
	return 126
}
