package initramfs

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// modulesDir is where an archive has kernel modules, and modulesList names them in the order of loading: the agent reads it.
const (
	modulesDir  = "/lib/husk/modules"
	modulesList = "/lib/husk/modules.list"
)

// VirtioModules are what a distribution's kernel needs as modules before the agent can reach the host, its disks and its power button.
var VirtioModules = []string{"virtio_pci", "vmw_vsock_virtio_transport", "virtio_blk", "virtio_net", "virtio_console", "virtio_rng", "evdev", "button"}

// Modules returns an archive with kernel modules from dir (/lib/modules/RELEASE on the host) and all that they depend on, to be appended to
// the guest's. A name may be followed by a space and parameters. Names that are built into the kernel are left out; a name that is
// nowhere is an error.
func Modules(dir string, names []string) ([]byte, error) {
	deps, err := readDeps(filepath.Join(dir, "modules.dep"))
	if err != nil {
		return nil, fmt.Errorf("initramfs: modules: %w", err)
	}
	builtin, err := readBuiltin(filepath.Join(dir, "modules.builtin"))
	if err != nil {
		return nil, fmt.Errorf("initramfs: modules: %w", err)
	}
	var order, lines []string
	params := map[string]string{}
	for _, n := range names {
		name, param, _ := strings.Cut(n, " ")
		name = moduleName(name)
		m, ok := deps[name]
		if !ok && slices.Contains(builtin, name) {
			continue
		}
		if !ok {
			return nil, fmt.Errorf("initramfs: module %s: neither in %s nor built in: %w", name, dir, os.ErrNotExist)
		}
		params[m.file] = param
		for _, f := range append(m.needs, m.file) {
			if !slices.Contains(order, f) {
				order = append(order, f)
			}
		}
	}
	var files []File
	for _, f := range order {
		content, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(f)))
		if err != nil {
			return nil, fmt.Errorf("initramfs: modules: %w", err)
		}
		at := path.Join(modulesDir, path.Base(f))
		files = append(files, File{Path: at, Mode: 0o644, Content: content})
		lines = append(lines, strings.TrimSpace(at+" "+params[f])+"\n")
	}
	return Archive(append(files, text(modulesList, strings.Join(lines, ""))))
}

// module is a line of modules.dep.
type module struct {
	file  string
	needs []string // in the order of loading
}

// readDeps reads modules.dep: "file: what it needs", with what is needed first at the end of the line [modules.dep(5)].
func readDeps(name string) (map[string]module, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	deps := map[string]module{}
	sc := bufio.NewScanner(bytes.NewReader(b))
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		file, rest, ok := strings.Cut(sc.Text(), ":")
		if !ok {
			continue
		}
		m := module{file: file, needs: strings.Fields(rest)}
		slices.Reverse(m.needs)
		deps[moduleName(file)] = m
	}
	return deps, sc.Err()
}

// readBuiltin reads modules.builtin: files that would be modules, one on each line.
func readBuiltin(name string) ([]string, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, f := range strings.Fields(string(b)) {
		names = append(names, moduleName(f))
	}
	return names, nil
}

// moduleName is the name of a module, given it or its file: '-' and '_' are one.
func moduleName(file string) string {
	name, _, _ := strings.Cut(path.Base(file), ".ko")
	return strings.ReplaceAll(name, "-", "_")
}
