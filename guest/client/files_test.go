//go:build linux

package client_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/husk-vm/husk/guest/client"
	"github.com/husk-vm/husk/guest/tree"
)

func TestPutGet(t *testing.T) {
	c, _ := newClient(t)
	ctx := t.Context()
	name := filepath.Join(t.TempDir(), "new", "dir", "file")
	for _, content := range []string{"first", strings.Repeat("0123456789", 1<<18), ""} {
		if err := c.Put(ctx, name, 0o751, strings.NewReader(content)); err != nil {
			t.Fatal(err)
		}
		fi, err := os.Stat(name)
		if err != nil || fi.Mode() != 0o751 {
			t.Fatalf("%v, %v", fi, err)
		}
		var out bytes.Buffer
		if err := c.Get(ctx, name, &out); err != nil || out.String() != content {
			t.Errorf("%d bytes out, %d in, %v", out.Len(), len(content), err)
		}
	}
	left, err := os.ReadDir(filepath.Dir(name))
	if err != nil || len(left) != 1 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// TestPutRunning replaces a program while it runs, which a plain write could not.
func TestPutRunning(t *testing.T) {
	c, _ := newClient(t)
	name := filepath.Join(t.TempDir(), "cat")
	if err := c.PutTree(t.Context(), "/bin/cat", name); err != nil {
		t.Fatal(err)
	}
	cmd := c.Command(name)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if err := c.PutTree(t.Context(), "/bin/true", name); err != nil {
		t.Error(err)
	}
	in.Close()
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	if err := c.Command(name, "--no-such-flag-for-cat-but-true").Run(); err != nil {
		t.Errorf("it is still the old one: %v", err)
	}
}

func TestTree(t *testing.T) {
	c, _ := newClient(t)
	ctx := t.Context()
	src, mid, dst := t.TempDir(), filepath.Join(t.TempDir(), "mid"), filepath.Join(t.TempDir(), "dst")
	when := time.Unix(1_600_000_000, 0)
	must(t, os.MkdirAll(filepath.Join(src, "a/b"), 0o755))
	must(t, os.WriteFile(filepath.Join(src, "a/b/file"), []byte("content"), 0o640))
	must(t, os.WriteFile(filepath.Join(src, "run"), bytes.Repeat([]byte{7}, 100_000), 0o755))
	must(t, os.Symlink("b/file", filepath.Join(src, "a/link")))
	must(t, os.Chtimes(filepath.Join(src, "run"), when, when))
	must(t, os.Chmod(filepath.Join(src, "a"), 0o500))
	t.Cleanup(func() {
		for _, d := range []string{src, mid, dst} {
			os.Chmod(filepath.Join(d, "a"), 0o700)
		}
	})
	must(t, c.PutTree(ctx, src, mid))
	must(t, c.PutTree(ctx, src, mid)) // over itself
	must(t, c.GetTree(ctx, mid, dst, client.Limits{}))
	want, got := list(t, src), list(t, dst)
	if want != got {
		t.Errorf("sent:\n%s\ncame back:\n%s", want, got)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// list describes a tree.
func list(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		fi, err := d.Info()
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(dir, p)
		b.WriteString(rel + " " + fi.Mode().String())
		switch {
		case fi.Mode().IsRegular():
			content, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			b.WriteString(" " + fi.ModTime().UTC().String() + " " + string(content[:min(len(content), 10)]) + " " + string(rune('0'+len(content)%10)))
		case d.Type()&fs.ModeSymlink != 0:
			target, _ := os.Readlink(p)
			b.WriteString(" -> " + target)
		}
		b.WriteString("\n")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestFileErrors(t *testing.T) {
	c, _ := newClient(t)
	ctx := t.Context()
	dir := t.TempDir()
	if err := c.Get(ctx, "/no/such/file", io.Discard); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("get: %v", err)
	}
	if err := c.GetTree(ctx, "/no/such/file", dir, client.Limits{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("get tree: %v", err)
	}
	if err := c.Get(ctx, dir, io.Discard); err == nil {
		t.Error("a directory is not a file")
	}
	if err := c.Get(ctx, "relative", io.Discard); err == nil {
		t.Error("relative to what?")
	}
	// The agent refuses at the first entry and stops reading, while we have megabytes to say.
	err := c.Put(ctx, "/dev/null/file", 0o644, bytes.NewReader(make([]byte, 8<<20)))
	if e, ok := errors.AsType[*client.Error](err); !ok || e.Errno != 20 { // ENOTDIR
		t.Errorf("put below a file: %v", err)
	}
	half := filepath.Join(dir, "half")
	must(t, os.Mkdir(half, 0o755))
	err = c.Put(ctx, filepath.Join(half, "f"), 0o644, io.MultiReader(strings.NewReader("half"), broken{}))
	if !errors.Is(err, errFull) {
		t.Errorf("source fails: %v", err)
	}
	if _, err := os.Stat(filepath.Join(half, "f")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("half a file is there: %v", err)
	}
	must(t, os.WriteFile(filepath.Join(dir, "big"), make([]byte, 1000), 0o644))
	if err := c.GetTree(ctx, dir, t.TempDir(), client.Limits{Bytes: 999}); !errors.Is(err, tree.ErrLimit) {
		t.Errorf("more bytes than allowed: %v", err)
	}
	if err := c.GetTree(ctx, dir, t.TempDir(), client.Limits{Entries: 1}); !errors.Is(err, tree.ErrLimit) {
		t.Errorf("more files than allowed: %v", err)
	}
	must(t, os.Symlink("../../etc/passwd", filepath.Join(dir, "out")))
	if err := c.GetTree(ctx, dir, t.TempDir(), client.Limits{}); !errors.Is(err, tree.ErrLink) {
		t.Errorf("link out of the tree: %v", err)
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errFull }
