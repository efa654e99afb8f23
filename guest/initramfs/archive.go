package initramfs

import (
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"path"
	"slices"
)

// File is one entry of an archive.
type File struct {
	Path         string      // absolute in the guest; directories above it are made as needed
	Mode         fs.FileMode // permissions; with ModeDir, ModeSymlink or ModeCharDevice for what is not a regular file
	Content      []byte      // of a regular file; the target of a link
	Major, Minor uint32      // of a device
}

// segmentAlign is what an archive's length is a multiple of, so that another may follow: the kernel unpacks one after the other
// [LINUX-INITRAMFS]. A later entry replaces an earlier one.
const segmentAlign = 512

// The types of a file in its mode, the same on every host here, for the archive is for Linux: [LINUX-INITRAMFS] c_mode.
const (
	typeChar    = 0o020000
	typeDir     = 0o040000
	typeRegular = 0o100000
	typeLink    = 0o120000
)

// Archive makes an archive of files. It depends on nothing else: owner 0, time 0, sorted.
func Archive(files []File) ([]byte, error) {
	b, err := archive(files)
	if err != nil {
		return nil, fmt.Errorf("initramfs: archive: %w", err)
	}
	return b, nil
}

func archive(files []File) ([]byte, error) {
	all, err := withParents(files)
	if err != nil {
		return nil, err
	}
	var out []byte
	for i, f := range all {
		if len(f.Content) > maxContent {
			return nil, fmt.Errorf("%s: %d bytes: too long for the format", f.Path, len(f.Content))
		}
		out = appendRecord(out, uint32(i+1), f)
	}
	out = appendRecord(out, 0, File{Path: "/TRAILER!!!"})
	return pad(out, segmentAlign), nil
}

// maxContent is the most that a record can hold: its size has 32 bits, of which the kernel takes 31.
const maxContent = 1<<31 - 1

// appendRecord appends a file in the "newc" format [LINUX-INITRAMFS]: a magic number and 13 hexadecimal numbers, the name with a zero
// byte, the content; name and content are padded to 4 bytes. Owner, time and checksum are zero.
func appendRecord(b []byte, ino uint32, f File) []byte {
	mode, links := linuxMode(f.Mode), 1
	if f.Mode.IsDir() {
		links = 2
	}
	if ino == 0 {
		mode = 0 // the trailer is not a file
	}
	name := f.Path[1:]
	b = fmt.Appendf(b, "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X",
		ino, mode, 0, 0, links, 0, len(f.Content), 0, 0, f.Major, f.Minor, len(name)+1, 0)
	b = append(append(b, name...), 0)
	return pad(append(pad(b, 4), f.Content...), 4)
}

// linuxMode is a mode as Linux has it.
func linuxMode(m fs.FileMode) uint32 {
	mode := uint32(m.Perm())
	if m&fs.ModeSticky != 0 {
		mode |= 0o1000
	}
	switch {
	case m.IsDir():
		return mode | typeDir
	case m&fs.ModeSymlink != 0:
		return mode | typeLink
	case m&fs.ModeCharDevice != 0:
		return mode | typeChar
	}
	return mode | typeRegular
}

// pad appends zeros up to a multiple of align, a power of two.
func pad(b []byte, align int) []byte { return append(b, make([]byte, -len(b)&(align-1))...) }

// withParents returns files sorted, with the directories that they need and do not name.
func withParents(files []File) ([]File, error) {
	byPath := make(map[string]File, len(files))
	for _, f := range files {
		if !path.IsAbs(f.Path) || path.Clean(f.Path) != f.Path || f.Path == "/" {
			return nil, fmt.Errorf("%q: not a clean absolute path", f.Path)
		}
		if _, twice := byPath[f.Path]; twice {
			return nil, fmt.Errorf("%s: named twice", f.Path)
		}
		byPath[f.Path] = f
	}
	for _, f := range files {
		for d := path.Dir(f.Path); d != "/"; d = path.Dir(d) {
			if _, ok := byPath[d]; !ok {
				byPath[d] = File{Path: d, Mode: fs.ModeDir | 0o755}
			}
		}
	}
	all := make([]File, 0, len(byPath))
	for _, f := range byPath {
		all = append(all, f)
	}
	slices.SortFunc(all, func(a, b File) int { return cmp.Compare(a.Path, b.Path) }) // a parent is a prefix of its children
	return all, nil
}

// dir, link and device are entries without much to say.
func dir(p string, perm fs.FileMode) File { return File{Path: p, Mode: fs.ModeDir | perm} }

func link(p, target string) File {
	return File{Path: p, Mode: fs.ModeSymlink | 0o777, Content: []byte(target)}
}

func device(p string, major, minor uint32) File {
	return File{Path: p, Mode: fs.ModeCharDevice | 0o600, Major: major, Minor: minor}
}

// skeleton is what the guest has besides its programs. Process 1 gets the console and the null device before it has
// mounted anything: Go's runtime opens them when it finds its standard files closed.
func skeleton() []File {
	return []File{
		dir("/dev", 0o755), dir("/etc", 0o755), dir("/lib", 0o755), dir("/mnt", 0o755), dir("/proc", 0o555), dir("/root", 0o700),
		dir("/run", 0o755), dir("/sys", 0o555), dir("/tmp", 0o777|fs.ModeSticky), dir("/usr", 0o755), dir("/usr/bin", 0o755), dir("/var", 0o755),
		dir("/home", 0o755), dir("/sbin", 0o755), dir("/var/log", 0o755),
		link("/var/run", "/run"), link("/var/tmp", "/tmp"), link("/etc/mtab", "/proc/self/mounts"), link("/usr/bin/env", "/bin/env"),
		device("/dev/console", 5, 1), device("/dev/null", 1, 3),
		text("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n"),
		text("/etc/group", "root:x:0:\ntty:x:5:\nnogroup:x:65534:\n"),
		text("/etc/hosts", "127.0.0.1 localhost\n::1 localhost\n"),
		text("/etc/nsswitch.conf", "hosts: files dns\n"),
		text("/etc/os-release", "ID=husk\nNAME=Husk\nPRETTY_NAME=\"Husk guest\"\n"),
	}
}

func text(p, content string) File { return File{Path: p, Mode: 0o644, Content: []byte(content)} }

// Files lists the guest's files, given its programs.
func Files(p Programs) []File {
	files := append(skeleton(),
		File{Path: "/init", Mode: 0o755, Content: p.Agent},
		File{Path: "/bin/husk-box", Mode: 0o755, Content: p.Box})
	for _, n := range p.Commands {
		files = append(files, link("/bin/"+n, "husk-box"))
	}
	return files
}

// Build makes the guest's archive for arch ("amd64", "arm64") from the source of this module at dir. See BuildPrograms.
func Build(ctx context.Context, dir, arch string) ([]byte, error) {
	p, err := BuildPrograms(ctx, dir, arch)
	if err != nil {
		return nil, err
	}
	return Archive(Files(p))
}
