package main

import (
	"bytes"
	"debug/elf"
	"os"
	"reflect"
	"runtime"
	"strings"
	"testing"
)

const smapsText = `00400000-006d7000 r-xp 00000000 00:18 19981231                           /opt/a husk (deleted)
Size:               2908 kB
KernelPageSize:        4 kB
Rss:                2440 kB
Anonymous:             4 kB
THPeligible:    0
VmFlags: rd ex mr mw me
7f88b54d5000-7f88d54d5000 rw-p 00000000 00:00 0 
Size:             524288 kB
Rss:               58440 kB
Anonymous:         58440 kB
7ffc0000-7ffc1000 rw-p 00000000 00:00 0                          [stack]
Size:                  4 kB
Rss:                   4 kB
Anonymous:             4 kB
`

func TestParseSmaps(t *testing.T) {
	got, err := parseSmaps(strings.NewReader(smapsText))
	want := []mapping{
		{path: "/opt/a husk (deleted)", size: 2908 << 10, rss: 2440 << 10, anonymous: 4 << 10},
		{size: 524288 << 10, rss: 58440 << 10, anonymous: 58440 << 10},
		{path: "[stack]", size: 4096, rss: 4096, anonymous: 4096},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("%+v, %v", got, err)
	}
	m, err := split(got, 512<<20)
	if want := (memory{guest: 58440 << 10, anonymous: 8 << 10, file: 2436 << 10}); err != nil || m != want {
		t.Errorf("split: %+v, %v, want %+v", m, err, want)
	}
	if m, err := split(got, 256<<20); err == nil {
		t.Errorf("guest memory of another size was found: %+v", m)
	}
	for _, bad := range []string{"Size: 4 kB\n", "nonsense\n", "1-2 r 0 0 0\nRss: 4 pages x\n", "1-2 r 0 0 0\nRss: -4 kB\n", "1-2 r 0 0 0\nRss: 99999999999999999 kB\n"} {
		if m, err := parseSmaps(strings.NewReader(bad)); err == nil {
			t.Errorf("%q was taken: %+v", bad, m)
		}
	}
}

// FuzzSmaps holds that a parsed mapping is one of the text's lines, and that none is larger than the text says.
func FuzzSmaps(f *testing.F) {
	f.Add([]byte(smapsText))
	f.Fuzz(func(t *testing.T, b []byte) {
		maps, err := parseSmaps(bytes.NewReader(b))
		if err != nil {
			return
		}
		if n := bytes.Count(b, []byte("\n")) + 1; len(maps) > n {
			t.Errorf("%d mappings in %d lines", len(maps), n)
		}
		for _, m := range maps {
			if m.size%1024 != 0 || m.rss%1024 != 0 || m.anonymous%1024 != 0 {
				t.Errorf("%+v: not in KiB", m)
			}
		}
	})
}

func TestParseSwitches(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		want       uint64
		bad        bool
	}{
		{"both", "Name:\tx\nvoluntary_ctxt_switches:\t150\nnonvoluntary_ctxt_switches:\t545\n", 695, false},
		{"one", "voluntary_ctxt_switches:\t150\n", 0, true},
		{"none", "Name:\tvoluntary_ctxt_switches\n", 0, true},
		{"not a number", "voluntary_ctxt_switches:\t1x\nnonvoluntary_ctxt_switches:\t5\n", 0, true},
		{"negative", "voluntary_ctxt_switches:\t-1\nnonvoluntary_ctxt_switches:\t5\n", 0, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got, err := parseSwitches(strings.NewReader(tt.text)); got != tt.want || (err != nil) != tt.bad {
				t.Errorf("%d, %v", got, err)
			}
		})
	}
}

// FuzzSwitches holds that a text with one more count is refused where the text itself is taken.
func FuzzSwitches(f *testing.F) {
	f.Add([]byte("voluntary_ctxt_switches:\t150\nnonvoluntary_ctxt_switches:\t545\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := parseSwitches(bytes.NewReader(b)); err != nil {
			return
		}
		if n, err := parseSwitches(bytes.NewReader(append(bytes.Clone(b), "\nvoluntary_ctxt_switches: 1\n"...))); err == nil {
			t.Errorf("three counts were taken as two: %d", n)
		}
	})
}

// TestSelf reads this very process, whose threads are there and have run.
func TestSelf(t *testing.T) {
	pid := os.Getpid()
	before, err := threads(pid)
	if err != nil {
		t.Fatal(err)
	}
	touched := bytes.Repeat([]byte{1}, 33<<20)
	maps, err := smaps(pid)
	if err != nil {
		t.Fatal(err)
	}
	var m memory
	m.add(maps)
	if m.anonymous < 33<<20 || m.file == 0 {
		t.Errorf("%+v, with 33 MiB of it known", m)
	}
	runtime.KeepAlive(touched)
	after, err := threads(pid)
	if err != nil {
		t.Fatal(err)
	}
	if d, busiest := since(before, after); d.cpu == 0 || busiest.cpu > d.cpu {
		t.Errorf("CPU time: all threads %+v, busiest %+v", d, busiest)
	}
}

// TestTinyKernel reads the kernel with Go's ELF reader.
func TestTinyKernel(t *testing.T) {
	f, err := elf.NewFile(bytes.NewReader(tinyKernel()))
	if err != nil {
		t.Fatal(err)
	}
	load, note := f.Progs[0], f.Progs[1]
	if load.Type != elf.PT_LOAD || load.Filesz != uint64(len(tinyKernel())) || note.Type != elf.PT_NOTE {
		t.Fatalf("%+v, %+v", load.ProgHeader, note.ProgHeader)
	}
	code := make([]byte, 15)
	if _, err := load.ReadAt(code, int64(f.Entry-load.Paddr)); err != nil || code[0] != 0x0f || code[7] != 0x0f || code[8] != 0x0b {
		t.Errorf("entry point: % x, %v", code, err)
	}
}
