package lab

import (
	"fmt"
	"io"
)

// cpioWriter writes an initramfs archive: the "newc" format of linux Documentation/driver-api/early-userspace/buffer-format.rst.
type cpioWriter struct {
	w   io.Writer
	ino uint32
	err error
}

// File types of a mode field, as in stat(2).
const (
	modeDir  = 0o040000 // S_IFDIR
	modeFile = 0o100000 // S_IFREG
	modeChar = 0o020000 // S_IFCHR
)

// dir adds a directory; parents come first.
func (c *cpioWriter) dir(name string) { c.entry(name, modeDir|0o755, 0, 0, nil) }

// file adds a file.
func (c *cpioWriter) file(name string, perm uint32, data []byte) {
	c.entry(name, modeFile|perm, 0, 0, data)
}

// char adds a character device.
func (c *cpioWriter) char(name string, perm, major, minor uint32) {
	c.entry(name, modeChar|perm, major, minor, nil)
}

// close ends the archive and reports the first error of all.
func (c *cpioWriter) close() error {
	c.entry("TRAILER!!!", 0, 0, 0, nil)
	return c.err
}

// entry writes one header, name and content, each padded to four bytes.
func (c *cpioWriter) entry(name string, mode, rmajor, rminor uint32, data []byte) {
	if c.err != nil {
		return
	}
	if uint64(len(data)) > 0xffffffff {
		c.err = fmt.Errorf("lab: initramfs: %s: %d bytes do not fit the format", name, len(data))
		return
	}
	c.ino++
	nlink := 1
	if mode&modeDir != 0 {
		nlink = 2
	}
	// magic, ino, mode, uid, gid, nlink, mtime, filesize, devmajor, devminor, rdevmajor, rdevminor, namesize, check
	h := fmt.Sprintf("070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%s\x00",
		c.ino, mode, 0, 0, nlink, 0, len(data), 0, 0, rmajor, rminor, len(name)+1, 0, name)
	for _, part := range [][]byte{[]byte(h), data} {
		if c.err == nil {
			_, c.err = c.w.Write(part)
		}
		if pad := -len(part) & 3; c.err == nil && pad > 0 {
			_, c.err = c.w.Write(make([]byte, pad))
		}
	}
}
