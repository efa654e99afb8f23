package initramfs

import (
	"archive/zip"
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestForeignModule is a program of somebody else, that has this module as a dependency: from a module proxy into a module cache, which is
// read-only, and where nothing is embedded. It must get an archive: once built, then cached.
func TestForeignModule(t *testing.T) {
	if testing.Short() {
		t.Skip("builds programs")
	}
	needGo(t)
	const version = "v0.0.1"
	tmp := t.TempDir()
	proxy := filepath.Join(tmp, "proxy")
	makeProxy(t, filepath.Join(proxy, filepath.FromSlash(modulePath), "@v"), version)
	have, err := exec.Command("go", "env", "GOMODCACHE").Output()
	if err != nil {
		t.Fatal(err)
	}
	download := filepath.Join(strings.TrimSpace(string(have)), "cache", "download") // has the layout of a proxy
	env := append(os.Environ(), "GOPROXY="+fileURL(proxy)+","+fileURL(download), "GOSUMDB=off", "GOMODCACHE="+filepath.Join(tmp, "mod"), "GOFLAGS=-modcacherw", "GOWORK=off")
	prog := filepath.Join(tmp, "prog")
	write(t, filepath.Join(prog, "go.mod"), "module example.org/prog\n\ngo 1.26.0\n")
	write(t, filepath.Join(prog, "main.go"), foreignProgram)
	run := func(dir string, args ...string) string {
		t.Helper()
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Dir = dir
		cmd.Env = append(env, "PWD="+dir)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%v: %v: %s", args, err, &stderr)
		}
		return string(out)
	}
	run(prog, "go", "get", modulePath+"@"+version)
	run(prog, "go", "mod", "tidy")
	run(prog, "go", "build", "-o", "plain", ".")
	run(prog, "go", "build", "-trimpath", "-o", "trimmed", ".")
	cache := filepath.Join(tmp, "cache")
	first := run(prog, "./plain", cache)
	second := run(tmp, filepath.Join(prog, "trimmed"), cache) // knows no path of its source, and is in no module
	if first != second || !strings.HasPrefix(first, "070701 ") {
		t.Errorf("first %q, then %q", first, second)
	}
	kept, err := filepath.Glob(filepath.Join(cache, "*"))
	if err != nil || len(kept) != 1 {
		t.Errorf("kept %v, %v", kept, err)
	}
}

const foreignProgram = `package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"

	"github.com/husk-vm/husk/guest/initramfs"
)

func main() {
	s, err := (&initramfs.Loader{Cache: os.Args[1]}).Load(context.Background())
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	b := make([]byte, s.Size())
	if _, err := s.ReadAt(b, 0); err != nil && err != io.EOF {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Printf("%s %d %x\n", b[:6], len(b), sha256.Sum256(b))
}
`

func fileURL(p string) string { return "file://" + filepath.ToSlash(p) }

func write(t *testing.T, name, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// makeProxy puts this module, as the repository has it, into the directory of a module proxy.
func makeProxy(t *testing.T, dir, version string) {
	t.Helper()
	mod, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "list"), version+"\n")
	write(t, filepath.Join(dir, version+".mod"), string(mod))
	write(t, filepath.Join(dir, version+".info"), fmt.Sprintf("{\"Version\":%q}\n", version))
	var buf bytes.Buffer
	z := zip.NewWriter(&buf)
	add := func(name string) error {
		content, err := os.ReadFile(filepath.Join("../..", filepath.FromSlash(name)))
		if err != nil {
			return err
		}
		w, err := z.Create(modulePath + "@" + version + "/" + name)
		if err == nil {
			_, err = w.Write(content)
		}
		return err
	}
	for _, name := range []string{"go.mod", "go.sum"} {
		if err := add(name); err != nil {
			t.Fatal(err)
		}
	}
	for _, top := range []string{"cmd", "guest"} {
		err := fs.WalkDir(os.DirFS("../.."), top, func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || strings.HasPrefix(name, "guest/initramfs/built/initramfs-") {
				return err
			}
			return add(name)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, version+".zip"), buf.String())
}
