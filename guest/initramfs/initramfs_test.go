package initramfs

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/u-root/u-root/pkg/cpio"
)

var update = flag.Bool("update", false, "rewrite testdata")

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	name = filepath.Join("testdata", name) // go test -update
	if *update {
		if err := os.WriteFile(name, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
	}
}

func TestRewrite(t *testing.T) {
	src, err := os.ReadFile("testdata/command.go.txt")
	if err != nil {
		t.Fatal(err)
	}
	r, err := rewrite("command.go", src, 5)
	if err != nil {
		t.Fatal(err)
	}
	if r.inits != 7 || !r.flags {
		t.Errorf("%d inits, flags %v", r.inits, r.flags)
	}
	golden(t, "command.golden.txt", append(r.src, "\n// ---- the glue\n\n"+glue("x", r.inits, r.flags)...))
	for _, bad := range []string{
		"package main\nimport . \"flag\"\nfunc main() {}\n",
		"package main\nimport flag \"github.com/spf13/pflag\"\nfunc main() {}\n",
		"package main\nfunc main() {",
	} {
		if _, err := rewrite("bad.go", []byte(bad), 0); err == nil {
			t.Errorf("rewritten: %s", bad)
		}
	}
}

func TestArchive(t *testing.T) {
	b, err := Archive([]File{
		text("/etc/b", "content\n"),
		{Path: "/bin/run", Mode: 0o755, Content: []byte("#!x")},
		link("/bin/l", "run"),
		device("/dev/null", 1, 3),
		dir("/tmp", 0o777|fs.ModeSticky),
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(b)%segmentAlign != 0 {
		t.Errorf("%d bytes", len(b))
	}
	golden(t, "archive.golden.txt", []byte(hex.Dump(b)))
	var list strings.Builder
	err = cpio.ForEachRecord(cpio.Newc.Reader(bytes.NewReader(b)), func(r cpio.Record) error {
		content, err := io.ReadAll(io.NewSectionReader(r, 0, int64(r.FileSize)))
		fmt.Fprintf(&list, "%s %o %d,%d %q\n", r.Name, r.Mode, r.Rmajor, r.Rminor, content)
		return err
	})
	want := `bin 40755 0,0 ""
bin/l 120777 0,0 "run"
bin/run 100755 0,0 "#!x"
dev 40755 0,0 ""
dev/null 20600 1,3 ""
etc 40755 0,0 ""
etc/b 100644 0,0 "content\n"
tmp 41777 0,0 ""
`
	if err != nil || list.String() != want {
		t.Errorf("%v: got\n%s\nwant\n%s", err, &list, want)
	}
	for _, bad := range [][]File{{text("relative", "")}, {text("/a/../b", "")}, {text("/", "")}, {text("/a", ""), text("/a", "")}} {
		if _, err := Archive(bad); err == nil {
			t.Errorf("archived %v", bad)
		}
	}
}

func TestSkeletonFits(t *testing.T) {
	if _, err := Archive(Files(Programs{Agent: []byte("a"), Box: []byte("b"), Commands: []string{"sh", "["}})); err != nil {
		t.Error(err)
	}
}

func TestModules(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{
		"modules.dep":      "kernel/a.ko:\nkernel/b-c.ko: kernel/a.ko\nkernel/d.ko.xz: kernel/b-c.ko kernel/a.ko\n",
		"modules.builtin":  "kernel/x-y.ko\n",
		"kernel/a.ko":      "A",
		"kernel/b-c.ko":    "BC",
		"kernel/d.ko.xz":   "D",
		"kernel/unused.ko": "U",
	} {
		p := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	b, err := Modules(dir, []string{"d x=1 y", "x_y", "b_c"})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	err = cpio.ForEachRecord(cpio.Newc.Reader(bytes.NewReader(b)), func(r cpio.Record) error {
		content, err := io.ReadAll(io.NewSectionReader(r, 0, int64(r.FileSize)))
		got[r.Name] = string(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	want := "/lib/husk/modules/a.ko\n/lib/husk/modules/b-c.ko\n/lib/husk/modules/d.ko.xz x=1 y\n"
	if got["lib/husk/modules.list"] != want || got["lib/husk/modules/b-c.ko"] != "BC" || len(got) != 7 {
		t.Errorf("%q", got)
	}
	if _, err := Modules(dir, []string{"nowhere"}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a module that is nowhere: %v", err)
	}
}

// TestReproducible builds twice, from two copies of the source.
func TestReproducible(t *testing.T) {
	if testing.Short() {
		t.Skip("builds twice")
	}
	needGo(t)
	copied := t.TempDir()
	if err := copySources("../..", copied); err != nil {
		t.Fatal(err)
	}
	for _, arch := range []string{"amd64", "arm64"} {
		a, err := Build(t.Context(), "../..", arch)
		if err != nil {
			t.Fatal(err)
		}
		b, err := Build(t.Context(), copied, arch)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(a, b) {
			t.Errorf("%s: two builds of one source differ", arch)
		}
		if len(a) > maxArchive {
			t.Errorf("%s: %d bytes; every guest pays for it in memory and start-up", arch, len(a))
		}
		t.Logf("%s: %d bytes", arch, len(a))
	}
}

// maxArchive is the size that an archive may have, in bytes: a little more than it has, so that growth is a decision.
const maxArchive = 11 << 20

func needGo(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("no go command")
	}
}

func TestLock(t *testing.T) {
	name := filepath.Join(t.TempDir(), "lock")
	var wg sync.WaitGroup
	// The race detector does not see a lock that is a file: count instead.
	var inside, entered atomic.Int32
	for range 4 {
		wg.Go(func() {
			unlock, err := lock(t.Context(), name)
			if err != nil {
				t.Error(err)
				return
			}
			if inside.Add(1) != 1 {
				t.Error("two hold the lock")
			}
			entered.Add(1)
			inside.Add(-1)
			unlock()
		})
	}
	wg.Wait()
	if n := entered.Load(); n != 4 {
		t.Errorf("%d were inside", n)
	}
	if err := os.WriteFile(name, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := lock(ctx, name); !errors.Is(err, context.Canceled) {
		t.Errorf("waiting with a dead context: %v", err)
	}
	old := time.Now().Add(-2 * lockStale)
	if err := os.Chtimes(name, old, old); err != nil {
		t.Fatal(err)
	}
	unlock, err := lock(t.Context(), name)
	if err != nil {
		t.Fatalf("a lock of the dead: %v", err)
	}
	unlock()
}

func TestNoToolchain(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, err := (&Loader{Arch: "riscv64", Cache: t.TempDir()}).Load(t.Context())
	if !errors.Is(err, ErrToolchain) {
		t.Errorf("%v", err)
	}
}
