package agent

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// modulesList names the kernel modules to load, in order: a path and, behind it, parameters, on each line.
// guest/initramfs writes it. A kernel with everything built in has none.
const modulesList = "/lib/husk/modules.list"

// maxModuleLine bounds a line of the list, in bytes.
const maxModuleLine = 8 << 10

// loadModules loads the modules that r lists. One that fails does not keep the others from working.
func loadModules(r io.Reader, load func(path, params string) error) error {
	var errs []error
	sc := bufio.NewScanner(r)
	sc.Buffer(nil, maxModuleLine)
	for sc.Scan() {
		path, params, _ := strings.Cut(strings.TrimSpace(sc.Text()), " ")
		if path == "" || path[0] == '#' {
			continue
		}
		if err := load(path, strings.TrimSpace(params)); err != nil && !errors.Is(err, unix.EEXIST) {
			errs = append(errs, fmt.Errorf("load %s: %w", path, err))
		}
	}
	return errors.Join(append(errs, sc.Err())...)
}

// loadModule loads one module from its file.
func loadModule(path, params string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return unix.FinitModule(int(f.Fd()), params, 0)
}

// loadListed loads what modulesList names, if there is such a list.
func loadListed(log *slog.Logger) {
	f, err := os.Open(modulesList)
	if err != nil {
		if !errors.Is(err, os.ErrNotExist) {
			log.Error("modules", "err", err)
		}
		return
	}
	defer f.Close()
	if err := loadModules(f, loadModule); err != nil {
		log.Error("modules", "err", err)
	}
}
