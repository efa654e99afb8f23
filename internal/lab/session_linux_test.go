package lab

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"
)

func testSession(t *testing.T) session {
	t.Helper()
	return session{dir: filepath.Join(t.TempDir(), "s")}
}

// TestLockHammer holds that the lock excludes although every holder removes the session.
func TestLockHammer(t *testing.T) {
	s := testSession(t)
	var inside atomic.Int32 // the race detector does not know what a file lock orders
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				f, err := s.lock()
				if err != nil {
					t.Error(err)
					return
				}
				if n := inside.Add(1); n != 1 {
					t.Errorf("%d holders", n)
				}
				inside.Add(-1)
				if err := errors.Join(s.remove(), f.Close()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if _, err := os.Stat(s.dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the session is still there: %v", err)
	}
}

func TestTryLock(t *testing.T) {
	s := testSession(t)
	f, err := s.lock()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.tryLock(); !errors.Is(err, unix.EWOULDBLOCK) {
		t.Errorf("second lock: %v, want %v", err, unix.EWOULDBLOCK)
	}
	f.Close()
	f, err = s.tryLock()
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
}

func TestSessionRefusesForeignDirectory(t *testing.T) {
	for _, tt := range []struct {
		name string
		make func(dir string) error
	}{
		{"open to others", func(dir string) error { return errors.Join(os.Mkdir(dir, 0o700), os.Chmod(dir, 0o755)) }},
		{"link", func(dir string) error { return os.Symlink("/tmp", dir) }},
		{"file", func(dir string) error { return os.WriteFile(dir, nil, 0o600) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := testSession(t)
			if err := tt.make(s.dir); err != nil {
				t.Fatal(err)
			}
			if f, err := s.lock(); err == nil {
				f.Close()
				t.Error("accepted")
			}
		})
	}
}

// TestClean holds that clean removes what the dead left and spares the living.
func TestClean(t *testing.T) {
	s := testSession(t)
	f, err := s.lock()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	alive, dead := s.machineDir(1), s.machineDir(2)
	for _, dir := range []string{alive, dead} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	held, err := holdAlive(alive)
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	if err := os.WriteFile(s.file(socketName), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.writeInfo(sessionInfo{Supervisor: 2}); err != nil {
		t.Fatal(err)
	}
	if err := s.clean(); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if len(names) != 2 || names[0] != lockName || names[1] != filepath.Base(alive) {
		t.Errorf("left: %v", names)
	}
}

func TestSessionNames(t *testing.T) {
	root := t.TempDir()
	sub := filepath.Join(root, "a", "b")
	if err := os.MkdirAll(sub, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "go.mod"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	name := func(o options, dir string) string {
		s, err := newSession(o, dir)
		if err != nil {
			t.Fatal(err)
		}
		return s.dir
	}
	base := name(options{memoryMiB: 1024}, root)
	if got := name(options{memoryMiB: 1024}, sub); got != base {
		t.Errorf("a directory of the same module: %s, want %s", got, base)
	}
	seen := map[string]string{base: "the module's"}
	for what, other := range map[string]string{
		"another module": name(options{memoryMiB: 1024}, t.TempDir()),
		"more memory":    name(options{memoryMiB: 2048}, root),
		"two CPUs":       name(options{memoryMiB: 1024, smp2: true}, root),
		"a name":         name(options{memoryMiB: 1024, session: "x"}, root),
	} {
		if was, ok := seen[other]; ok {
			t.Errorf("%s and %s share a session", what, was)
		}
		seen[other] = what
	}
	t.Setenv("TMPDIR", "/"+strings.Repeat("x", 100))
	if _, err := newSession(options{}, root); err == nil {
		t.Error("a socket name that does not fit was accepted")
	}
}

func TestVersionLess(t *testing.T) {
	order := []string{"vmlinuz-5.10.0-9-amd64", "vmlinuz-6.1.0-9-amd64", "vmlinuz-6.1.0-56-amd64", "vmlinuz-6.1.0-56-cloud-amd64", "vmlinuz-6.12.3"}
	for i, a := range order {
		for j, b := range order {
			if got := versionLess(a, b); got != (i < j) {
				t.Errorf("versionLess(%s, %s) = %v", a, b, got)
			}
		}
	}
}
