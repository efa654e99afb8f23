package proto

// Place is where a tree is to be put, or got from.
type Place struct {
	Path string // absolute path in the guest
}

// Append appends the message's encoding to b.
func (m Place) Append(b []byte) []byte { return appendString(b, m.Path) }

// DecodePlace decodes a Place.
func DecodePlace(p []byte) (Place, error) {
	c := cursor{p: p}
	m := Place{Path: c.string(MaxPath)}
	if len(m.Path) == 0 || m.Path[0] != '/' {
		c.bad = true
	}
	return m, c.err("place")
}

// Kind is what an Entry is.
type Kind uint8

// Kinds of entries.
const (
	KindFile    Kind = 1
	KindDir     Kind = 2
	KindSymlink Kind = 3
)

// Entry is one file of a tree. The content of a regular file follows in Data frames of StreamIn, then EOF.
type Entry struct {
	Kind   Kind
	Mode   uint32 // permission bits, with setuid (04000), setgid (02000) and sticky (01000)
	Size   uint64 // bytes, of a regular file: no more follow; fewer if it shrinks meanwhile, or its sender does not know
	Mtime  int64  // nanoseconds since 1970 UTC; 0: now
	Path   string // slash-separated, below the Place; "." is the Place
	Target string // of a symbolic link
}

// modeBits are the mode bits that an Entry can have.
const modeBits = 0o7777

// Append appends the message's encoding to b.
func (m Entry) Append(b []byte) []byte {
	b = append(b, byte(m.Kind))
	b = appendUint32(b, m.Mode)
	b = appendUint64(b, m.Size)
	b = appendUint64(b, uint64(m.Mtime))
	b = appendString(b, m.Path)
	return appendString(b, m.Target)
}

// DecodeEntry decodes an Entry. Its Path is a clean relative path that stays below its root as far as names go;
// links are the receiver's concern.
func DecodeEntry(p []byte) (Entry, error) {
	c := cursor{p: p}
	m := Entry{Kind: Kind(c.uint8()), Mode: c.uint32(), Size: c.uint64(), Mtime: int64(c.uint64()), Path: c.string(MaxPath), Target: c.string(MaxPath)}
	switch {
	case m.Kind < KindFile || m.Kind > KindSymlink, m.Mode&^modeBits != 0, m.Size > 1<<62, !local(m.Path),
		(m.Kind == KindSymlink) != (m.Target != ""), m.Kind != KindFile && m.Size != 0:
		c.bad = true
	}
	return m, c.err("entry")
}

// local reports whether p is "." or a clean relative slash path without "..", without NUL.
func local(p string) bool {
	if p == "." {
		return true
	}
	start := 0
	for i := 0; i <= len(p); i++ {
		if i < len(p) && p[i] == 0 {
			return false
		}
		if i < len(p) && p[i] != '/' {
			continue
		}
		switch p[start:i] {
		case "", ".", "..":
			return false
		}
		start = i + 1
	}
	return true
}
