//go:build linux || darwin

package hostos

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

func tempFD(t *testing.T) (*FD, string) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := OpenFD(name, os.O_RDWR)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f, name
}

func TestVectors(t *testing.T) {
	f, name := tempFD(t)
	var v Vectors
	bufs := [][]byte{[]byte("hello"), nil, []byte(", "), {}, []byte("world")}
	if n, err := v.Pwritev(f, bufs, 3); n != 12 || err != nil {
		t.Fatalf("wrote %d, %v", n, err)
	}
	got, err := os.ReadFile(name)
	if err != nil || string(got) != "\x00\x00\x00hello, world" {
		t.Errorf("%q, %v", got, err)
	}
	in := [][]byte{make([]byte, 4), make([]byte, 0), make([]byte, 20)}
	if n, err := v.Preadv(f, in, 3); n != 12 || err != nil {
		t.Errorf("read %d, %v", n, err)
	}
	if string(in[0])+string(in[2][:8]) != "hello, world" {
		t.Errorf("%q %q", in[0], in[2])
	}
	for _, none := range [][][]byte{nil, {nil, {}}} {
		if n, err := v.Preadv(f, none, 0); n != 0 || err != nil {
			t.Errorf("no room: %d, %v", n, err)
		}
	}
	if _, err := v.Preadv(f, in, -1); err == nil {
		t.Error("read before the file")
	}
}

// TestVectorsOfManyPieces: more pieces than the kernel takes are moved by asking again.
func TestVectorsOfManyPieces(t *testing.T) {
	f, name := tempFD(t)
	want := make([]byte, 3000)
	bufs := make([][]byte, len(want))
	for i := range want {
		want[i] = byte(i * 7)
		bufs[i] = want[i : i+1]
	}
	var v Vectors
	for done := 0; done < len(want); {
		n, err := v.Pwritev(f, bufs[done:], int64(done))
		if err != nil || n == 0 {
			t.Fatalf("after %d: %d, %v", done, n, err)
		}
		done += n
	}
	if got, err := os.ReadFile(name); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

func TestFileCallsDoNotAllocate(t *testing.T) {
	f, _ := tempFD(t)
	var v Vectors
	p := make([]byte, 512)
	bufs := [][]byte{p[:100], p[100:]}
	for name, fn := range map[string]func(){
		"pwrite":  func() { _, _ = f.Pwrite(p, 0) },
		"pread":   func() { _, _ = f.Pread(p, 0) },
		"pwritev": func() { _, _ = v.Pwritev(f, bufs, 0) },
		"preadv":  func() { _, _ = v.Preadv(f, bufs, 0) },
	} {
		if n := testing.AllocsPerRun(100, fn); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func TestHoles(t *testing.T) {
	f, name := tempFD(t)
	full := bytes.Repeat([]byte{0xdd}, 64<<10)
	if _, err := f.Pwrite(full, 0); err != nil {
		t.Fatal(err)
	}
	for what, err := range map[string]error{"punch": f.PunchHole(8<<10, 8<<10), "zero": f.ZeroRange(32<<10, 1000)} {
		if errors.Is(err, errors.ErrUnsupported) {
			t.Skipf("%s: %v", what, err)
		}
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	clear(full[8<<10 : 16<<10])
	clear(full[32<<10 : 32<<10+1000])
	if got, err := os.ReadFile(name); err != nil || !bytes.Equal(got, full) {
		t.Errorf("%d bytes differ, %v", len(got), err)
	}
	if err := f.Datasync(); err != nil {
		t.Error(err)
	}
	if err := f.Truncate(5); err != nil {
		t.Error(err)
	}
	if st, err := os.Stat(name); err != nil || st.Size() != 5 {
		t.Errorf("%v, %v", st, err)
	}
}

func TestClosedFD(t *testing.T) {
	f, _ := tempFD(t)
	f.Close()
	var v Vectors
	_, rerr := f.Pread(make([]byte, 1), 0)
	_, verr := v.Pwritev(f, [][]byte{{1}}, 0)
	for _, err := range []error{rerr, verr, f.Truncate(0), f.Datasync()} {
		if !errors.Is(err, os.ErrClosed) {
			t.Errorf("%v", err)
		}
	}
}

func TestDupFD(t *testing.T) {
	_, name := tempFD(t)
	file, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	f, err := DupFD(file)
	if err != nil {
		t.Fatal(err)
	}
	file.Close()
	if _, err := f.Pwrite([]byte("mine"), 0); err != nil {
		t.Errorf("closed with the original: %v", err)
	}
	f.Close()
	if _, err := DupFD(file); err == nil {
		t.Error("of a closed file")
	}
}

func TestLocks(t *testing.T) {
	_, name := tempFD(t)
	open := func() *os.File {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return f
	}
	a, b, c := open(), open(), open()
	if err := errors.Join(LockShared(a), LockShared(b)); err != nil {
		t.Fatal(err)
	}
	if err := LockExclusive(c); !errors.Is(err, ErrLocked) {
		t.Errorf("exclusive beside shared: %v", err)
	}
	a.Close()
	open().Close() // with fcntl's locks this would lose b's
	if err := LockExclusive(c); !errors.Is(err, ErrLocked) {
		t.Errorf("exclusive beside one shared: %v", err)
	}
	b.Close()
	if err := LockExclusive(c); err != nil {
		t.Errorf("alone: %v", err)
	}
	if err := LockShared(open()); !errors.Is(err, ErrLocked) {
		t.Errorf("shared beside exclusive: %v", err)
	}
	if err := LockShared(c); err != nil {
		t.Errorf("down to shared: %v", err)
	}
}

func TestSetBlocking(t *testing.T) {
	r, w, err := os.Pipe() // which the runtime made non-blocking
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	defer r.Close()
	if err := SetBlocking(r); err != nil {
		t.Fatal(err)
	}
	f, err := DupFD(r)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	got := make(chan error)
	go func() {
		fd, err := f.Acquire()
		if err == nil {
			defer f.Release()
			_, err = os.NewFile(uintptr(fd), "pipe").Read(make([]byte, 1))
		}
		got <- err
	}()
	if _, err := w.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if err := <-got; err != nil {
		t.Errorf("read of a blocking pipe: %v", err)
	}
	r.Close()
	if err := SetBlocking(r); err == nil {
		t.Error("of a closed file")
	}
}

// TestDieWithParent has a child that lives until it is killed, and a parent of it that ends.
func TestDieWithParent(t *testing.T) {
	if os.Getenv("HUSK_TEST_PARENT") == "" {
		cmd := exec.Command(os.Args[0], "-test.run=^TestDieWithParent$")
		cmd.Env = append(os.Environ(), "HUSK_TEST_PARENT=1")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return
	}
	if err := DieWithParent(os.Getppid()); err != nil && !errors.Is(err, errors.ErrUnsupported) {
		t.Fatal(err)
	}
	if err := DieWithParent(os.Getpid()); err == nil {
		t.Error("a process is not its own parent")
	}
}
