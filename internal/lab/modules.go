package lab

import (
	"bufio"
	"fmt"
	"io"
	"path"
	"strings"
)

// moduleTree is what a kernel's modules.dep, modules.alias and modules.builtin say [depmod(8), modules.dep(5)].
type moduleTree struct {
	files   map[string]string   // module name → file, relative to the tree
	deps    map[string][]string // file → the files it needs, nearest first
	builtin map[string]bool     // module names that are part of the kernel
	aliases [][2]string         // pattern, module name
}

// moduleName is the name the kernel knows a module by: of "kernel/fs/9p/9p.ko.xz" it is "9p".
func moduleName(file string) string {
	name, _, _ := strings.Cut(path.Base(file), ".ko")
	return strings.ReplaceAll(name, "-", "_")
}

// parseModules reads the three files of a module tree; alias may be nil.
func parseModules(dep, builtin, alias io.Reader) (*moduleTree, error) {
	t := &moduleTree{files: map[string]string{}, deps: map[string][]string{}, builtin: map[string]bool{}}
	err := eachLine(dep, func(line string) error {
		file, needs, ok := strings.Cut(line, ":")
		if !ok || file == "" {
			return fmt.Errorf("lab: parse modules.dep: no colon in %q", line)
		}
		t.files[moduleName(file)] = file
		t.deps[file] = strings.Fields(needs)
		return nil
	})
	if err != nil {
		return nil, err
	}
	err = eachLine(builtin, func(line string) error {
		t.builtin[moduleName(line)] = true
		return nil
	})
	if err != nil || alias == nil {
		return t, err
	}
	return t, eachLine(alias, func(line string) error {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "alias" {
			t.aliases = append(t.aliases, [2]string{f[1], f[2]})
		}
		return nil
	})
}

// eachLine calls fn for every line that is neither empty nor a comment.
func eachLine(r io.Reader, fn func(string) error) error {
	s := bufio.NewScanner(r)
	s.Buffer(nil, 1<<20) // modules.dep has lines of some kilobytes
	for s.Scan() {
		if line := strings.TrimSpace(s.Text()); line != "" && line[0] != '#' {
			if err := fn(line); err != nil {
				return err
			}
		}
	}
	return s.Err()
}

// resolve lists the files that make the named modules work, in the order to load them, each once. A name may be an
// alias; what is built into the kernel needs no file.
func (t *moduleTree) resolve(names ...string) ([]string, error) {
	var order []string
	seen := map[string]bool{}
	add := func(file string) {
		if !seen[file] {
			seen[file] = true
			order = append(order, file)
		}
	}
	for _, name := range names {
		found := false
		for _, mod := range t.lookup(name) {
			if t.builtin[mod] {
				found = true
				continue
			}
			file, ok := t.files[mod]
			if !ok {
				continue
			}
			found = true
			needs := t.deps[file] // nearest first, complete: the last is the one to load first
			for i := len(needs) - 1; i >= 0; i-- {
				add(needs[i])
			}
			add(file)
		}
		if !found {
			return nil, fmt.Errorf("lab: kernel module %s: not in this kernel's module tree", name)
		}
	}
	return order, nil
}

// lookup lists the modules a name stands for: itself, or what its aliases say.
func (t *moduleTree) lookup(name string) []string {
	mod := strings.ReplaceAll(name, "-", "_")
	if _, ok := t.files[mod]; ok || t.builtin[mod] {
		return []string{mod}
	}
	var mods []string
	for _, a := range t.aliases {
		if ok, err := path.Match(a[0], name); err == nil && ok {
			mods = append(mods, strings.ReplaceAll(a[1], "-", "_"))
		}
	}
	return mods
}
