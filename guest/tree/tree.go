// Package tree copies files and directories over a connection of proto.RoleFiles, in either direction.
//
// Owns: walking a tree, making one, and the bounds of both.
// Must not know: connections, roles, vsock.
// Spec: package proto, "Files".
// Stability: a part of the house, no compatibility promise.
//
// Both ends use it: the agent for a host it obeys, the client for a guest it does not trust. So a receiver writes through
// [os.Root], which no link leaves, and counts what it is given.
package tree

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"time"

	"github.com/husk-vm/husk/guest/proto"
)

// Limits bound what a receiver takes. Zero fields mean the defaults.
type Limits struct {
	Entries int    // files, directories and links; default DefaultEntries
	Bytes   uint64 // content of all files together; default: no bound but the file system's
	Inside  bool   // refuse symbolic links that point out of the tree: whoever reads it later would follow them
}

// DefaultEntries is how many entries a receiver takes unless told otherwise. It remembers the directories among them.
const DefaultEntries = 1 << 16

// Errors of a receiver.
var (
	ErrLimit = errors.New("too many files or bytes")
	ErrLink  = errors.New("link points out of the tree")
)

// chunk is how much of a file is sent in a frame.
const chunk = 32 << 10

// Send sends the tree at name, and End. Irregular files (sockets, devices) are left out.
func Send(w *proto.Writer, name string) error {
	top, err := os.Stat(name)
	if err != nil {
		return err
	}
	if !top.IsDir() {
		err = sendOne(w, os.Open, name, ".", top)
	} else {
		err = sendDir(w, name)
	}
	if err != nil {
		return err
	}
	return w.Send(proto.TypeEnd, 0, nil)
}

func sendDir(w *proto.Writer, name string) error {
	root, err := os.OpenRoot(name)
	if err != nil {
		return err
	}
	defer root.Close()
	return fs.WalkDir(root.FS(), ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		fi, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil // removed since its directory was read
		}
		if err != nil {
			return err
		}
		if d.Type()&fs.ModeSymlink == 0 {
			if err := sendOne(w, root.Open, p, p, fi); !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			return nil // removed since then
		}
		target, err := root.Readlink(filepath.FromSlash(p))
		if err != nil {
			return err
		}
		e := entry(proto.KindSymlink, p, fi)
		e.Target = filepath.ToSlash(target)
		return w.Send(proto.TypeEntry, 0, e.Append(nil))
	})
}

// sendOne sends the entry of a file or directory, and its content. Whatever else it is, it is left out.
func sendOne(w *proto.Writer, open func(string) (*os.File, error), name, as string, fi fs.FileInfo) error {
	if fi.IsDir() {
		return w.Send(proto.TypeEntry, 0, entry(proto.KindDir, as, fi).Append(nil))
	}
	if !fi.Mode().IsRegular() {
		return nil
	}
	f, err := open(filepath.FromSlash(name))
	if err != nil {
		return err
	}
	defer f.Close()
	e := entry(proto.KindFile, as, fi)
	e.Size = uint64(fi.Size())
	if err := w.Send(proto.TypeEntry, 0, e.Append(nil)); err != nil {
		return err
	}
	if err := SendContent(w, io.LimitReader(f, fi.Size())); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// SendContent sends r as Data frames and EOF.
func SendContent(w *proto.Writer, r io.Reader) error {
	buf := make([]byte, chunk)
	for {
		n, err := r.Read(buf)
		if n > 0 {
			if err := w.Send(proto.TypeData, proto.StreamIn, buf[:n]); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return w.Send(proto.TypeEOF, proto.StreamIn, nil)
		}
		if err != nil {
			return err
		}
	}
}

// entry describes fi. Windows has no executable bit: what it sends is executable.
func entry(kind proto.Kind, p string, fi fs.FileInfo) proto.Entry {
	mode := uint32(fi.Mode().Perm())
	if runtime.GOOS == "windows" {
		mode |= 0o111
	}
	for bit, m := range specialBits {
		if fi.Mode()&m != 0 {
			mode |= bit
		}
	}
	return proto.Entry{Kind: kind, Mode: mode, Mtime: fi.ModTime().UnixNano(), Path: p}
}

// specialBits are the mode bits above the permissions, in Linux's encoding and in Go's.
var specialBits = map[uint32]fs.FileMode{0o4000: fs.ModeSetuid, 0o2000: fs.ModeSetgid, 0o1000: fs.ModeSticky}

// fileMode is the inverse of what entry does to a mode.
func fileMode(mode uint32) fs.FileMode {
	m := fs.FileMode(mode & 0o777)
	for bit, g := range specialBits {
		if mode&bit != 0 {
			m |= g
		}
	}
	return m
}

// Receive makes the tree that the peer sends at name, up to its End. A peer's Error is returned as *proto.Error.
func Receive(r *proto.Reader, name string, lim Limits) error {
	rc := receiver{r: r, name: name, left: lim.Entries, bytes: lim.Bytes, bounded: lim.Bytes > 0, inside: lim.Inside}
	if rc.left == 0 {
		rc.left = DefaultEntries
	}
	defer rc.close()
	for {
		f, err := r.Next()
		if err != nil {
			return err
		}
		switch f.Type {
		case proto.TypeEnd:
			return rc.finish()
		case proto.TypeError:
			return PeerError(f.Payload)
		case proto.TypeEntry:
			e, err := proto.DecodeEntry(f.Payload)
			if err != nil {
				return err
			}
			if err := rc.entry(e); err != nil {
				return fmt.Errorf("%s: %w", path.Join(filepath.ToSlash(name), e.Path), err)
			}
		default:
			return fmt.Errorf("frame type %d between files: %w", f.Type, proto.ErrBad)
		}
	}
}

// PeerError decodes a peer's Error frame into an error: *proto.Error, or why it is none.
func PeerError(payload []byte) error {
	e, err := proto.DecodeError(payload)
	if err != nil {
		return err
	}
	return &e
}

// receiver is the state of one Receive.
type receiver struct {
	r       *proto.Reader
	name    string
	root    *os.Root // of name, once it is known to be a directory
	dirs    []proto.Entry
	left    int
	bytes   uint64
	bounded bool
	inside  bool
}

func (rc *receiver) close() {
	if rc.root != nil {
		rc.root.Close()
	}
}

// entry makes one file, directory or link.
func (rc *receiver) entry(e proto.Entry) error {
	if rc.left--; rc.left < 0 {
		return ErrLimit
	}
	if e.Path == "." && e.Kind == proto.KindFile {
		return rc.single(e)
	}
	if rc.root == nil {
		if err := rc.openRoot(); err != nil {
			return err
		}
	}
	p := filepath.FromSlash(e.Path)
	switch e.Kind {
	case proto.KindDir:
		rc.dirs = append(rc.dirs, e)
		if err := rc.root.MkdirAll(p, 0o755); err != nil {
			return err
		}
		return rc.root.Chmod(p, fileMode(e.Mode)|0o700) // its own mode comes last: it may forbid us to fill it
	case proto.KindSymlink:
		if rc.inside && (path.IsAbs(e.Target) || !filepath.IsLocal(filepath.FromSlash(path.Join(path.Dir(e.Path), e.Target)))) {
			return ErrLink
		}
		if err := rc.root.Remove(p); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return rc.root.Symlink(filepath.FromSlash(e.Target), p)
	}
	if err := rc.root.Remove(p); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err // a new file: never write through a link, or into a program that runs
	}
	f, err := rc.root.OpenFile(p, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	return rc.fill(f, e, func() error { return rc.root.Chtimes(p, time.Now(), mtime(e)) })
}

// openRoot makes name a directory and holds it.
func (rc *receiver) openRoot() error {
	if err := os.MkdirAll(rc.name, 0o755); err != nil {
		return err
	}
	var err error
	rc.root, err = os.OpenRoot(rc.name)
	return err
}

// single makes name itself a regular file, by renaming a complete one: a program that runs, or a reader, keeps the old one.
func (rc *receiver) single(e proto.Entry) error {
	if err := os.MkdirAll(filepath.Dir(rc.name), 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(rc.name), ".husk-*")
	if err != nil {
		return err
	}
	err = rc.fill(f, e, func() error { return os.Chtimes(f.Name(), time.Now(), mtime(e)) })
	if err == nil {
		err = os.Rename(f.Name(), rc.name)
	}
	if err != nil {
		os.Remove(f.Name()) // the first error is the one to tell
	}
	return err
}

// fill writes the content that follows an entry, sets mode and time, and closes f.
func (rc *receiver) fill(f *os.File, e proto.Entry, chtimes func() error) error {
	err := rc.content(f, e.Size)
	if err == nil && runtime.GOOS != "windows" {
		err = f.Chmod(fileMode(e.Mode))
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = chtimes()
	}
	return err
}

// content copies Data frames to w until EOF: at most size bytes.
func (rc *receiver) content(w io.Writer, size uint64) error {
	if rc.bounded {
		if size > rc.bytes {
			return ErrLimit
		}
		rc.bytes -= size
	}
	return ReceiveContent(rc.r, w, size)
}

// ReceiveContent copies Data frames to w until EOF. More than size bytes are ErrLimit.
func ReceiveContent(r *proto.Reader, w io.Writer, size uint64) error {
	for {
		f, err := r.Next()
		if err != nil {
			return err
		}
		switch f.Type {
		case proto.TypeEOF:
			return nil
		case proto.TypeError:
			return PeerError(f.Payload)
		case proto.TypeData:
			if uint64(len(f.Payload)) > size {
				return ErrLimit
			}
			size -= uint64(len(f.Payload))
			if _, err := w.Write(f.Payload); err != nil {
				return err
			}
		default:
			return fmt.Errorf("frame type %d in a file: %w", f.Type, proto.ErrBad)
		}
	}
}

// finish gives directories their own modes and times, children first.
func (rc *receiver) finish() error {
	for i := len(rc.dirs) - 1; i >= 0; i-- {
		e := rc.dirs[i]
		p := filepath.FromSlash(e.Path)
		if err := rc.root.Chtimes(p, time.Now(), mtime(e)); err != nil {
			return err
		}
		if err := rc.root.Chmod(p, fileMode(e.Mode)); err != nil {
			return err
		}
	}
	return nil
}

func mtime(e proto.Entry) time.Time {
	if e.Mtime == 0 {
		return time.Now()
	}
	return time.Unix(0, e.Mtime)
}
