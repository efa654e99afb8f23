package agent

import (
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"

	"github.com/husk-vm/husk/guest/proto"
)

// defaultEnv is what a process gets if the host says nothing.
func defaultEnv() []string {
	return []string{
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"HOME=/root",
		"USER=root",
		"LANG=C.UTF-8",
	}
}

// mergeEnv returns base with the entries of extra added or replaced; of two entries of one name the later counts.
func mergeEnv(base, extra []string) []string {
	at := make(map[string]int, len(base)+len(extra))
	out := make([]string, 0, len(base)+len(extra))
	for _, list := range [][]string{base, extra} {
		for _, kv := range list {
			name, _, _ := strings.Cut(kv, "=")
			if i, ok := at[name]; ok {
				out[i] = kv
				continue
			}
			at[name] = len(out)
			out = append(out, kv)
		}
	}
	return out
}

// getenv returns the value of a name, or "".
func getenv(env []string, name string) string {
	for _, kv := range env {
		if k, v, ok := strings.Cut(kv, "="); ok && k == name {
			return v
		}
	}
	return ""
}

// lookPath finds a program as execvp does: a name with a slash is itself (relative to dir), another is sought in PATH.
// Among several failures "permission denied" is told before "not found".
func lookPath(name, dir, pathVar string) (string, error) {
	if strings.Contains(name, "/") {
		return name, executable(path.Join(dir, name), name)
	}
	cause := error(syscall.ENOENT)
	for _, d := range strings.Split(pathVar, ":") {
		if d == "" {
			d = "." // POSIX: an empty element is the working directory
		}
		full := path.Join(d, name)
		if !path.IsAbs(full) {
			full = path.Join(dir, full)
		}
		err := executable(full, full)
		if err == nil {
			return full, nil
		}
		if wireError(err).Code == proto.CodePermission {
			cause = syscall.EACCES
		}
	}
	return "", &fs.PathError{Op: "exec", Path: name, Err: cause}
}

// executable reports why file cannot be executed. The kernel has the last word, about users for instance.
func executable(file, name string) error {
	if strings.HasPrefix(name, "/") {
		file = name
	}
	fi, err := os.Stat(file)
	if err != nil {
		if pe, ok := err.(*fs.PathError); ok {
			err = pe.Err
		}
		return &fs.PathError{Op: "exec", Path: name, Err: err}
	}
	if fi.IsDir() || fi.Mode()&0o111 == 0 {
		return &fs.PathError{Op: "exec", Path: name, Err: syscall.EACCES}
	}
	return nil
}
