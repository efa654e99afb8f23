package linux

import (
	"fmt"
	"strings"
)

// layouter carries one Plan from step to step.
type layouter struct {
	k    *Kernel
	p    *Params
	free regions // RAM at or above 1 MiB that is nobody's yet
	plan Plan
}

func newLayouter(k *Kernel, p *Params) (*layouter, error) {
	ranges, ram, err := memoryMap(p)
	if err != nil {
		return nil, err
	}
	low := Region{gdtBase, lowEnd - gdtBase}
	if !ram.contains(low) {
		return nil, fmt.Errorf("linux: %w: boot structures need RAM at %v", ErrBadParams, low)
	}
	if len(p.Seed) > seedMax {
		return nil, fmt.Errorf("linux: %w: seed of %d bytes, at most %d", ErrBadParams, len(p.Seed), seedMax)
	}
	return &layouter{k: k, p: p, free: ram.without(Region{0, highBase}), plan: Plan{Map: ranges}}, nil
}

// take makes r unavailable to those who come later.
func (l *layouter) take(r Region) { l.free = l.free.without(r) }

// add appends a segment; empty ones are left out.
func (l *layouter) add(s Segment) {
	if s.Size() > 0 {
		l.plan.Segments = append(l.plan.Segments, s)
	}
}

// placeInitrd puts the initrd as high as it may be, out of the way of a kernel that unpacks itself upwards.
func (l *layouter) placeInitrd(mode Mode) error {
	if l.p.Initrd == nil {
		return nil
	}
	size, err := sizeOf(l.p.Initrd, "initrd")
	if err != nil {
		return err
	}
	if err := probeEnd(l.p.Initrd, "initrd", size); err != nil {
		return err
	}
	last, above := l.k.img.initrdMax()
	base, ok := l.free.highest(size, page, last+1)
	if !ok && mode == Long64 && above {
		base, ok = l.free.highest(size, page, maxIdentity)
	}
	if !ok {
		return fmt.Errorf("linux: initrd: %w: %d bytes, largest free range is %d", ErrInitrdTooBig, size, l.largestFree())
	}
	l.plan.Initrd = Region{base, size}
	l.add(Segment{Name: "initrd", Addr: base, Source: l.p.Initrd, Len: size})
	return nil
}

func (l *layouter) largestFree() (n uint64) {
	for _, r := range l.free {
		n = max(n, r.Size)
	}
	return n
}

// placeCmdline puts the command line and its NUL at cmdlineBase.
func (l *layouter) placeCmdline() error {
	line := l.p.Cmdline
	if most := min(l.k.info.CmdlineMax, cmdlineSize-1); len(line) > most {
		return fmt.Errorf("linux: command line: %w: %d bytes, this kernel takes %d", ErrCmdlineTooLong, len(line), most)
	}
	if strings.IndexByte(line, 0) >= 0 {
		return fmt.Errorf("linux: command line: %w: it has a NUL byte in it", ErrBadParams)
	}
	l.add(Segment{Name: "command line", Addr: cmdlineBase, Data: append([]byte(line), 0)})
	return nil
}
