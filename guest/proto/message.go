package proto

import (
	"fmt"
	"time"
)

// Versions of the protocol. See the package comment.
const (
	Major uint16 = 1
	Minor uint16 = 0
)

// Role is what a connection is for. The host's Hello says it.
type Role uint8

// Roles.
const (
	RoleControl Role = 1
	RoleExec    Role = 2
	RoleFiles   Role = 3
)

// Hello is the first message of each side.
type Hello struct {
	Major, Minor uint16
	Role         Role
	Clock        int64 // host, on RoleControl: wall clock to set, nanoseconds since 1970 UTC; 0: leave the clock alone
}

const helloMagic = "husk"

// Append appends the message's encoding to b.
func (h Hello) Append(b []byte) []byte {
	b = append(b, helloMagic...)
	b = appendUint16(b, h.Major)
	b = appendUint16(b, h.Minor)
	b = append(b, byte(h.Role))
	return appendUint64(b, uint64(h.Clock))
}

// DecodeHello decodes a Hello. A foreign major version is ErrVersion.
func DecodeHello(p []byte) (Hello, error) {
	c := cursor{p: p}
	magic := string(c.take(uint64(len(helloMagic))))
	h := Hello{Major: c.uint16(), Minor: c.uint16()}
	if magic != helloMagic {
		c.bad = true
	}
	if !c.bad && h.Major != Major {
		return Hello{}, fmt.Errorf("proto: hello: peer speaks %d.%d, we %d.%d: %w", h.Major, h.Minor, Major, Minor, ErrVersion)
	}
	h.Role, h.Clock = Role(c.uint8()), int64(c.uint64())
	return h, c.err("hello")
}

// Code classifies an Error.
type Code uint16

// Codes.
const (
	CodeOther      Code = 0
	CodeNotFound   Code = 1 // no such file or program
	CodePermission Code = 2 // not allowed, or not executable
	CodeInvalid    Code = 3 // the request makes no sense
	CodeLimit      Code = 4 // too many of something
	CodeExists     Code = 5
	CodeBusy       Code = 6 // shutting down
)

// MaxText is the longest text of an Error, in bytes.
const MaxText = 1 << 10

// Error is a refusal.
type Error struct {
	Code  Code
	Errno uint32 // Linux errno, or 0
	Text  string // for people; up to MaxText bytes
}

// Append appends the message's encoding to b.
func (e Error) Append(b []byte) []byte {
	b = appendUint16(b, uint16(e.Code))
	b = appendUint32(b, e.Errno)
	return appendString(b, e.Text[:min(len(e.Text), MaxText)])
}

// DecodeError decodes an Error.
func DecodeError(p []byte) (Error, error) {
	c := cursor{p: p}
	e := Error{Code: Code(c.uint16()), Errno: c.uint32(), Text: c.string(MaxText)}
	return e, c.err("error")
}

// Clock asks to set the guest's wall clock.
type Clock struct {
	Nanos int64 // since 1970 UTC
}

// Append appends the message's encoding to b.
func (m Clock) Append(b []byte) []byte { return appendUint64(b, uint64(m.Nanos)) }

// DecodeClock decodes a Clock.
func DecodeClock(p []byte) (Clock, error) {
	c := cursor{p: p}
	m := Clock{Nanos: int64(c.uint64())}
	return m, c.err("clock")
}

// ShutdownKind is how a guest ends.
type ShutdownKind uint8

// Kinds of shutdown.
const (
	PowerOff ShutdownKind = 0
	Reboot   ShutdownKind = 1
	Halt     ShutdownKind = 2
)

// Shutdown asks the guest to end. The agent answers Done, then acts.
type Shutdown struct {
	Kind  ShutdownKind
	Grace uint32 // milliseconds between SIGTERM and SIGKILL
}

// Append appends the message's encoding to b.
func (m Shutdown) Append(b []byte) []byte { return appendUint32(append(b, byte(m.Kind)), m.Grace) }

// DecodeShutdown decodes a Shutdown.
func DecodeShutdown(p []byte) (Shutdown, error) {
	c := cursor{p: p}
	m := Shutdown{Kind: ShutdownKind(c.uint8()), Grace: c.uint32()}
	if m.Kind > Halt {
		c.bad = true
	}
	return m, c.err("shutdown")
}

// Info describes the guest.
type Info struct {
	Hostname, Kernel, Machine string        // as uname says
	CPUs                      uint32        // online
	MemoryBytes, FreeBytes    uint64        // RAM that the kernel manages; free of it
	Uptime                    time.Duration // since boot
	Execs                     uint32        // processes running for the host
}

// Append appends the message's encoding to b.
func (m Info) Append(b []byte) []byte {
	for _, s := range []string{m.Hostname, m.Kernel, m.Machine} {
		b = appendString(b, s[:min(len(s), MaxText)])
	}
	b = appendUint32(b, m.CPUs)
	b = appendUint64(b, m.MemoryBytes)
	b = appendUint64(b, m.FreeBytes)
	b = appendUint64(b, uint64(m.Uptime))
	return appendUint32(b, m.Execs)
}

// DecodeInfo decodes an Info.
func DecodeInfo(p []byte) (Info, error) {
	c := cursor{p: p}
	m := Info{
		Hostname: c.string(MaxText), Kernel: c.string(MaxText), Machine: c.string(MaxText), CPUs: c.uint32(),
		MemoryBytes: c.uint64(), FreeBytes: c.uint64(), Uptime: time.Duration(c.uint64()), Execs: c.uint32(),
	}
	return m, c.err("info")
}

// Error implements error.
func (e *Error) Error() string { return e.Text }
