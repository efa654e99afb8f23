package box

import (
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/husk-vm/husk/guest/box/names"
)

// stdio are the standard files of a command.
type stdio struct {
	in       io.Reader
	out, err io.Writer
}

// own are the commands of this package, those of names.Own. They get their arguments without the name and return an exit status.
func own() map[string]func(name string, args []string, s stdio) int {
	return map[string]func(string, []string, stdio) int{
		"sh": shell, "test": builtin, "[": builtin, "printf": builtin, "env": environment, "poweroff": power, "reboot": power, "halt": power, "tr": translate,
	}
}

// Main runs the command that the program was called as: os.Args[0], or, called as the box itself, os.Args[1]. uroot are u-root's commands,
// which take their arguments from os.Args and may exit. It returns an exit status.
func Main(uroot map[string]func()) int {
	name := strings.TrimPrefix(path.Base(os.Args[0]), "-") // a login shell's name begins so
	if strings.HasPrefix(name, "husk-box") {
		if len(os.Args) < 2 {
			fmt.Println(strings.Join(names.All(slices.Collect(maps.Keys(uroot))), "\n"))
			return 0
		}
		os.Args = os.Args[1:]
		name = path.Base(os.Args[0])
	}
	if to := names.Aliases()[name]; len(to) > 0 {
		os.Args = append(slices.Clone(to), os.Args[1:]...)
		name = to[0]
	}
	if f := own()[name]; f != nil {
		return f(name, os.Args[1:], stdio{os.Stdin, os.Stdout, os.Stderr})
	}
	if f := uroot[name]; f != nil {
		f()
		return 0
	}
	fmt.Fprintf(os.Stderr, "%s: no such command\n", name)
	return 127
}
