package lab

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"golang.org/x/sys/unix"
)

// finitModule loads one module file. Loading what is loaded is no error.
func finitModule(file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	flags := 0
	if !strings.HasSuffix(file, ".ko") {
		flags = unix.MODULE_INIT_COMPRESSED_FILE
	}
	if err := unix.FinitModule(int(f.Fd()), "", flags); err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("lab: load module %s: %w", filepath.Base(file), err)
	}
	return nil
}

// loadBootModules loads the initramfs's modules in the order of their names.
func loadBootModules() error {
	files, err := filepath.Glob(bootModules + "/*")
	if err != nil {
		return err
	}
	sort.Strings(files)
	for _, f := range files {
		if err := finitModule(f); err != nil {
			return err
		}
	}
	return nil
}

// openModuleTree reads the module tree of a kernel release below root.
func openModuleTree(root, release string, withAliases bool) (*moduleTree, string, error) {
	dir := filepath.Join(root, "lib/modules", release)
	var fs [3]*os.File
	for i, name := range []string{"modules.dep", "modules.builtin", "modules.alias"} {
		f, err := os.Open(filepath.Join(dir, name))
		if err != nil {
			return nil, "", err
		}
		defer f.Close()
		fs[i] = f
	}
	var t *moduleTree
	var err error
	if withAliases {
		t, err = parseModules(fs[0], fs[1], fs[2])
	} else {
		t, err = parseModules(fs[0], fs[1], nil)
	}
	return t, dir, err
}

// loadModules loads modules, and what they need, from the host's tree. Names may be aliases.
func loadModules(names ...string) error {
	release, err := kernelRelease()
	if err != nil {
		return err
	}
	t, dir, err := openModuleTree(systemRoot, release, false)
	if err != nil {
		return err
	}
	files, err := t.resolve(names...)
	if err != nil {
		// Not a name: look among the aliases, which take a while to read.
		if t, dir, err = openModuleTree(systemRoot, release, true); err != nil {
			return err
		}
		if files, err = t.resolve(names...); err != nil {
			return err
		}
	}
	for _, f := range files {
		if err := finitModule(filepath.Join(dir, f)); err != nil {
			return err
		}
	}
	return nil
}

// kernelRelease is `uname -r`.
func kernelRelease() (string, error) {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "", fmt.Errorf("lab: uname: %w", err)
	}
	return unix.ByteSliceToString(u.Release[:]), nil
}

// modprobeMain is what the kernel runs to load a module: modprobe -q -- name.
func modprobeMain(args []string) int {
	if len(args) == 0 {
		return 1
	}
	if err := loadModules(args[len(args)-1]); err != nil {
		return 1
	}
	return 0
}
