package initramfs

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"time"
)

// built has the archives that the repository's build made, if it did.
//
//go:embed all:built
var built embed.FS

//go:generate go run gen.go

// Source is an archive. It may be read by several at once.
type Source struct {
	io.ReaderAt
	size int64
}

// Size is the archive's length in bytes.
func (s Source) Size() int64 { return s.size }

// Load returns the guest's archive for this machine's architecture: the embedded one, one from the cache, or a new one.
// When it has to build one that takes a while, and it says so on standard error.
func Load(ctx context.Context) (Source, error) {
	return (&Loader{Progress: os.Stderr}).Load(ctx)
}

// Loader finds archives. The zero value is ready; its fields are for those who know better.
type Loader struct {
	Arch     string    // "amd64" or "arm64"; "" means this machine's
	Dir      string    // source of this module; "" means to find it
	Cache    string    // directory for archives; "" means husk in os.UserCacheDir
	Progress io.Writer // where to say that a build takes a while; nil means nowhere
}

// Load is the package's Load with l's choices.
func (l *Loader) Load(ctx context.Context) (Source, error) {
	arch := l.Arch
	if arch == "" {
		arch = runtime.GOARCH
	}
	dir := l.Dir
	if dir == "" {
		dir = besideUs()
	}
	s, err := embedded(arch, dir)
	if errors.Is(err, fs.ErrNotExist) {
		s, err = l.cached(ctx, arch, dir)
	}
	if err != nil {
		return Source{}, fmt.Errorf("initramfs: load for %s: %w", arch, err)
	}
	return s, nil
}

// embedded returns the embedded archive. Where the source is at hand the archive must be of that very source: who changes the agent and
// runs a test wants the changed agent tested.
func embedded(arch, dir string) (Source, error) {
	name := "built/initramfs-" + arch
	f, err := built.Open(name + ".cpio")
	if err != nil {
		return Source{}, err
	}
	if dir != "" {
		sum, err := built.ReadFile(name + ".sum")
		if err != nil {
			return Source{}, err
		}
		now, err := SourceSum(dir)
		if err != nil {
			return Source{}, err
		}
		if strings.TrimSpace(string(sum)) != now {
			return Source{}, fmt.Errorf("embedded archive is of another source: %w", fs.ErrNotExist)
		}
	}
	fi, err := f.Stat()
	if err != nil {
		return Source{}, err
	}
	return Source{f.(io.ReaderAt), fi.Size()}, nil // files of embed.FS are io.ReaderAt, as its documentation says
}

// cached returns the archive of the source from the cache. It builds it if it is not there.
func (l *Loader) cached(ctx context.Context, arch, dir string) (Source, error) {
	var err error
	if dir == "" {
		if dir, err = moduleDir(ctx); err != nil {
			return Source{}, err
		}
	}
	cache := l.Cache
	if cache == "" {
		if cache, err = os.UserCacheDir(); err != nil {
			return Source{}, err
		}
		cache = filepath.Join(cache, "husk")
	}
	key, err := cacheKey(ctx, dir, arch)
	if err != nil {
		return Source{}, err
	}
	name := filepath.Join(cache, "initramfs-"+arch+"-"+key+".cpio")
	b, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		b, err = l.build(ctx, name, dir, arch)
	}
	if err != nil {
		return Source{}, err
	}
	return Source{bytes.NewReader(b), int64(len(b))}, nil
}

// build makes the archive and keeps it as name. Whoever comes meanwhile waits for it.
func (l *Loader) build(ctx context.Context, name, dir, arch string) ([]byte, error) {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return nil, err
	}
	slow := time.AfterFunc(progressAfter, func() {
		if l.Progress != nil {
			fmt.Fprintln(l.Progress, "husk: building the guest's programs; this happens once")
		}
	})
	defer slow.Stop()
	unlock, err := lock(ctx, name+".lock")
	if err != nil {
		return nil, err
	}
	defer unlock()
	if b, err := os.ReadFile(name); err == nil {
		return b, nil // the one before us made it
	}
	b, err := Build(ctx, dir, arch)
	if err != nil {
		return nil, err
	}
	return b, writeAtomic(name, b)
}

// progressAfter is how long a build may take before there is a word about it.
const progressAfter = time.Second

// writeAtomic writes a file that appears complete or not at all.
func writeAtomic(name string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), ".new-*")
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		os.Remove(f.Name()) // the first error is the one to tell
	}
	return err
}

// SourceSum identifies the source of the guest's programs, and of what builds them, at dir.
func SourceSum(dir string) (string, error) {
	h := sha256.New()
	add := func(name string, content []byte) error {
		fmt.Fprintf(h, "%s %d\n", name, len(content))
		h.Write(content)
		return nil
	}
	if err := eachSource(dir, sources, add); err != nil {
		return "", err
	}
	if err := eachSource(dir, []string{"guest/initramfs"}, add); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)[:16]), nil
}

// cacheKey identifies an archive: of a source, made by a toolchain.
func cacheKey(ctx context.Context, dir, arch string) (string, error) {
	sum, err := SourceSum(dir)
	if err != nil {
		return "", err
	}
	version, err := goTool(ctx, dir, arch, "env", "GOVERSION")
	if err != nil {
		return "", err
	}
	return sum + "-" + strings.Map(fileSafe, strings.TrimSpace(string(version))), nil
}

// fileSafe keeps what any file system takes in a name.
func fileSafe(r rune) rune {
	if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' {
		return r
	}
	return '_'
}

// besideUs is the root of this module's source, if this package was compiled from files that are still there.
func besideUs() string {
	_, file, _, ok := runtime.Caller(0)
	if !ok || !filepath.IsAbs(file) {
		return "" // -trimpath
	}
	dir := filepath.Dir(filepath.Dir(filepath.Dir(file)))
	if !isModule(dir) {
		return ""
	}
	return dir
}

// isModule reports whether dir is the root of this module.
func isModule(dir string) bool {
	b, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	if err != nil {
		return false
	}
	first, _, _ := strings.Cut(string(b), "\n")
	_, err = os.Stat(filepath.Join(dir, filepath.FromSlash(listFile)))
	return strings.TrimSpace(first) == "module "+modulePath && err == nil
}

// moduleDir finds this module's source for a program that was compiled elsewhere or with -trimpath: the version that it was built with,
// from the module cache or the network, else what the module around the working directory uses.
func moduleDir(ctx context.Context) (string, error) {
	var errs []error
	if m := linkedModule(); m != nil {
		if m.Version == "" { // replaced by a directory
			if isModule(m.Path) {
				return m.Path, nil
			}
		} else if m.Version != "(devel)" {
			out, err := goTool(ctx, os.TempDir(), runtime.GOARCH, "mod", "download", "-json", m.Path+"@"+m.Version)
			var got struct{ Dir string }
			if err == nil {
				err = json.Unmarshal(out, &got)
			}
			if err == nil {
				return got.Dir, nil
			}
			errs = append(errs, err)
		}
	}
	out, err := goTool(ctx, "", runtime.GOARCH, "list", "-m", "-f", "{{.Dir}}", modulePath)
	if dir := strings.TrimSpace(string(out)); err == nil && isModule(dir) {
		return dir, nil
	}
	if err == nil {
		err = errors.New("the module's source is not on this machine")
	}
	return "", errors.Join(append(errs, err)...)
}

// linkedModule is this module as it was built into the running program.
func linkedModule() *debug.Module {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return nil
	}
	for _, m := range append(info.Deps, &info.Main) {
		if m.Path != modulePath {
			continue
		}
		if m.Replace != nil {
			return m.Replace
		}
		return m
	}
	return nil
}
