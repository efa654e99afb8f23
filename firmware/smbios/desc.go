package smbios

import (
	"errors"
	"fmt"
	"strings"
)

// Conditions that Build reports.
var (
	// ErrBadDesc means that the description cannot be written down.
	ErrBadDesc = errors.New("bad description")
	// ErrNoRoom means that the tables do not fit into Desc.Area.
	ErrNoRoom = errors.New("tables do not fit in their area")
)

// Without EFI, Linux looks for the entry point in the last 64 KiB below 1 MiB (linux drivers/firmware/dmi_scan.c). The
// last 16 bytes of them are the reset vector.
const (
	LegacyBase = 0xf0000
	LegacySize = 0xfff0
)

// Window is a range of guest-physical addresses, in bytes.
type Window struct {
	Base, Size uint64
}

func (w Window) String() string { return fmt.Sprintf("[%#x-%#x)", w.Base, w.Base+w.Size) }

// Desc describes a machine. Empty strings are "not specified".
type Desc struct {
	Manufacturer string // "" means "Husk"
	Product      string
	Version      string
	Serial       string
	SKU          string
	Family       string
	UUID         [16]byte // in the order in which it is written; zero means "not set"

	OEM  []string // type 11: at most 255, each 1..16384 bytes
	CPUs int      // 1 or more
	RAM  []Window // in whole KiB, at most 16; none: no memory structures

	// Area holds the entry point, at its start rounded up to 16 bytes, and the structures.
	Area Window
}

const (
	maxOEM    = 255 // their number is a byte
	maxString = 16 << 10
	maxRAM    = 16
	maxCPUs   = 1<<16 - 2 // Core Count 2 reserves 0xffff [SMBIOS §7.5.6]
	maxPhys   = 1 << 52   // the end of what an x86-64 CPU can address physically [SDM vol. 3A §4.1.4]
)

// check looks for what the structures cannot express.
func (d *Desc) check() error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("smbios: %w: %s", ErrBadDesc, fmt.Sprintf(format, args...))
	}
	if d.CPUs < 1 || d.CPUs > maxCPUs {
		return bad("%d CPUs", d.CPUs)
	}
	if len(d.OEM) > maxOEM || len(d.RAM) > maxRAM {
		return bad("%d OEM strings and %d RAM ranges, at most %d and %d", len(d.OEM), len(d.RAM), maxOEM, maxRAM)
	}
	for i, s := range append([]string{d.Manufacturer, d.Product, d.Version, d.Serial, d.SKU, d.Family}, d.OEM...) {
		const own = 6
		switch {
		case i >= own && s == "":
			return bad("OEM string %d is empty", i-own+1) // an empty string would end the list
		case len(s) > maxString:
			return bad("a string of %d bytes, at most %d", len(s), maxString)
		case strings.IndexByte(s, 0) >= 0:
			return bad("string %q has a NUL byte in it", s)
		}
	}
	for _, w := range append([]Window{d.Area}, d.RAM...) {
		if w.Size == 0 || w.Size > maxPhys || w.Base > maxPhys-w.Size {
			return bad("range %v is empty or ends above the address space", w)
		}
	}
	for _, w := range d.RAM {
		if w.Base%kib != 0 || w.Size%kib != 0 {
			return bad("RAM range %v is not in whole KiB", w)
		}
	}
	return nil
}
