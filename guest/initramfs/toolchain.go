package initramfs

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"

	"github.com/husk-vm/husk/guest/box/names"
)

// modulePath is this module.
const modulePath = "github.com/husk-vm/husk"

// sources are the directories of this module, below its root, that the guest's programs are made of.
var sources = []string{"cmd/husk-agent", "cmd/husk-box", "guest/agent", "guest/box", "guest/box/names", "guest/proto", "guest/tree"}

// listFile names u-root's commands.
const listFile = "cmd/husk-box/uroot.go"

// ErrToolchain says that programs have to be built, and that there is nothing to build them with.
var ErrToolchain = errors.New("no Go toolchain: install Go (https://go.dev/dl) so that the command go is in PATH, or use a release of husk, which has the guest in it")

// goTool runs the go command for the guest: dir is the module, arch the guest's architecture. Variables that a user may have set
// for programs of their own do not apply to this one.
func goTool(ctx context.Context, dir, arch string, args ...string) ([]byte, error) {
	tool, err := exec.LookPath("go")
	if err != nil {
		return nil, ErrToolchain
	}
	cmd := exec.CommandContext(ctx, tool, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(),
		"GOOS=linux", "GOARCH="+arch, "CGO_ENABLED=0", "GOFLAGS=-mod=readonly", "GOWORK=off", "GO111MODULE=on", "GOEXPERIMENT=", "GOAMD64=v1", "GOARM64=v8.0")
	if dir != "" {
		cmd.Env = append(cmd.Env, "PWD="+dir)
	}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return nil, fmt.Errorf("go %s: %w: %s", args[0], err, bytes.TrimSpace(lastLines(stderr.Bytes())))
	}
	return stdout.Bytes(), nil
}

// lastLines keeps an error readable.
func lastLines(b []byte) []byte {
	const most = 2000
	return b[max(0, len(b)-most):]
}

// Programs are the guest's two programs.
type Programs struct {
	Agent    []byte   // process 1
	Box      []byte   // shell and commands
	Commands []string // names that the box answers to, sorted
}

// BuildPrograms builds the guest's programs for arch ("amd64", "arm64") from the source of this module at dir. It needs
// the Go toolchain and, unless its cache has them, the modules that go.sum names. Equal source and toolchain make equal bytes.
func BuildPrograms(ctx context.Context, dir, arch string) (Programs, error) {
	p, err := buildPrograms(ctx, dir, arch)
	if err != nil {
		return Programs{}, fmt.Errorf("initramfs: build programs: %w", err)
	}
	return p, nil
}

func buildPrograms(ctx context.Context, dir, arch string) (p Programs, err error) {
	tmp, err := os.MkdirTemp("", "husk-guest-")
	if err != nil {
		return p, err
	}
	defer os.RemoveAll(tmp)
	if err := copySources(dir, tmp); err != nil {
		return p, err
	}
	commands, err := addCommands(ctx, dir, tmp, arch)
	if err != nil {
		return p, err
	}
	out := filepath.Join(tmp, "out")
	if err := os.Mkdir(out, 0o755); err != nil {
		return p, err
	}
	_, err = goTool(ctx, tmp, arch, "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid=", "-o", out+string(filepath.Separator), "./cmd/husk-agent", "./cmd/husk-box")
	if err != nil {
		return p, err
	}
	if p.Agent, err = os.ReadFile(filepath.Join(out, "husk-agent")); err != nil {
		return p, err
	}
	if p.Box, err = os.ReadFile(filepath.Join(out, "husk-box")); err != nil {
		return p, err
	}
	p.Commands = names.All(commands)
	return p, nil
}

// copySources copies go.mod, go.sum and the guest's packages, without tests, from dir to tmp.
func copySources(dir, tmp string) error {
	return eachSource(dir, sources, func(name string, content []byte) error {
		to := filepath.Join(tmp, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		return os.WriteFile(to, content, 0o644)
	})
}

// eachSource calls fn with go.mod, go.sum and the source files of pkgs, in a fixed order. Names are relative to dir, with slashes.
func eachSource(dir string, pkgs []string, fn func(name string, content []byte) error) error {
	names := []string{"go.mod", "go.sum"}
	for _, pkg := range pkgs {
		list, err := os.ReadDir(filepath.Join(dir, filepath.FromSlash(pkg))) // sorted
		if err != nil {
			return err
		}
		for _, e := range list {
			if n := e.Name(); strings.HasSuffix(n, ".go") && !strings.HasSuffix(n, "_test.go") {
				names = append(names, path.Join(pkg, n))
			}
		}
	}
	for _, name := range names {
		content, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(name)))
		if err != nil {
			return err
		}
		if err := fn(name, content); err != nil {
			return err
		}
	}
	return nil
}

// listedPackage is what go list says of a package, as far as it matters here.
type listedPackage struct {
	ImportPath, Dir, Name string
	GoFiles               []string
}

// addCommands writes u-root's commands into the module at tmp, as packages, and the table of them. It returns their names.
func addCommands(ctx context.Context, dir, tmp, arch string) ([]string, error) {
	paths, err := commandPaths(filepath.Join(dir, filepath.FromSlash(listFile)))
	if err != nil {
		return nil, err
	}
	listed, err := goTool(ctx, tmp, arch, append([]string{"list", "-json=ImportPath,Dir,Name,GoFiles", "-e=false"}, paths...)...)
	if err != nil {
		return nil, err
	}
	var imports, table strings.Builder
	var commands []string
	for d := json.NewDecoder(bytes.NewReader(listed)); ; {
		var pkg listedPackage
		if err := d.Decode(&pkg); err == io.EOF {
			break
		} else if err != nil {
			return nil, fmt.Errorf("go list: %w", err)
		}
		name := path.Base(pkg.ImportPath)
		if err := addCommand(pkg, filepath.Join(tmp, "cmd", "husk-box", "uroot", name)); err != nil {
			return nil, fmt.Errorf("%s: %w", pkg.ImportPath, err)
		}
		fmt.Fprintf(&imports, "\tc%d %q\n", len(commands), modulePath+"/cmd/husk-box/uroot/"+name)
		fmt.Fprintf(&table, "\t\t%q: c%d.Main,\n", name, len(commands))
		commands = append(commands, name)
	}
	src := "package main\n\nimport (\n" + imports.String() + ")\n\nfunc commands() map[string]func() {\n\treturn map[string]func(){\n" + table.String() + "\t}\n}\n"
	if err := os.WriteFile(filepath.Join(tmp, "cmd", "husk-box", "commands.go"), []byte(src), 0o644); err != nil {
		return nil, err
	}
	return commands, nil
}

// addCommand writes one command's files to dir, rewritten.
func addCommand(pkg listedPackage, dir string) error {
	if pkg.Name != "main" || len(pkg.GoFiles) == 0 {
		return errors.New("not a program on this architecture")
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	inits, flags := 0, false
	for _, name := range pkg.GoFiles {
		src, err := os.ReadFile(filepath.Join(pkg.Dir, name))
		if err != nil {
			return err
		}
		r, err := rewrite(name, src, inits)
		if err != nil {
			return err
		}
		inits, flags = r.inits, flags || r.flags
		if err := os.WriteFile(filepath.Join(dir, name), r.src, 0o644); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(dir, "husk_glue.go"), []byte(glue(filepath.Base(dir), inits, flags)), 0o644)
}
