//go:build linux

package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// mapping is what /proc/PID/smaps says of one mapping, sizes in bytes (linux Documentation/filesystems/proc.rst).
type mapping struct {
	path                 string // "" for what has no file
	size, rss, anonymous uint64
}

// parseSmaps reads /proc/PID/smaps.
func parseSmaps(r io.Reader) ([]mapping, error) {
	var maps []mapping
	in := bufio.NewScanner(r)
	for in.Scan() {
		f := strings.Fields(in.Text())
		if len(f) == 0 {
			continue
		}
		if !strings.HasSuffix(f[0], ":") {
			// start-end perms offset device inode [path]
			if len(f) < 5 || !strings.Contains(f[0], "-") {
				return nil, fmt.Errorf("smaps: unknown line %q", in.Text())
			}
			maps = append(maps, mapping{path: strings.Join(f[5:], " ")})
			continue
		}
		if len(maps) == 0 {
			return nil, fmt.Errorf("smaps: %q before any mapping", in.Text())
		}
		m := &maps[len(maps)-1]
		var to *uint64
		switch f[0] {
		case "Size:":
			to = &m.size
		case "Rss:":
			to = &m.rss
		case "Anonymous:":
			to = &m.anonymous
		default:
			continue
		}
		if len(f) != 3 || f[2] != "kB" {
			return nil, fmt.Errorf("smaps: unknown line %q", in.Text())
		}
		kib, err := strconv.ParseUint(f[1], 10, 54) // in bytes it fits 64 bits
		if err != nil {
			return nil, fmt.Errorf("smaps: %w", err)
		}
		*to = kib << 10
	}
	return maps, in.Err()
}

// memory is what a process holds, in bytes.
type memory struct {
	guest           uint64 // touched guest RAM
	anonymous, file uint64 // everything else: its own, and pages of files it maps
}

// ramSlack is how much larger than guest RAM a mapping may be and still be guest RAM: the kernel merges neighbours that
// are alike, and VMMs round up.
const ramSlack = 4 << 20

// split sorts mappings into guest RAM of the given size and the rest.
func split(maps []mapping, ram uint64) (memory, error) {
	var m memory
	found := false
	for _, p := range maps {
		if p.size >= ram && p.size < ram+ramSlack {
			m.guest += p.rss
			found = true
			continue
		}
		m.anonymous += p.anonymous
		m.file += p.rss - min(p.rss, p.anonymous)
	}
	if !found {
		return memory{}, fmt.Errorf("smaps: no mapping of %d MiB that could be guest memory", ram>>20)
	}
	return m, nil
}

// add is for processes without guest RAM, such as a VMM's helpers.
func (m *memory) add(maps []mapping) {
	for _, p := range maps {
		m.anonymous += p.anonymous
		m.file += p.rss - min(p.rss, p.anonymous)
	}
}

// parseSwitches reads the two counts of context switches from /proc/PID/task/TID/status.
func parseSwitches(r io.Reader) (uint64, error) {
	var sum uint64
	found := 0
	in := bufio.NewScanner(r)
	for in.Scan() {
		name, value, ok := strings.Cut(in.Text(), ":")
		if !ok || name != "voluntary_ctxt_switches" && name != "nonvoluntary_ctxt_switches" {
			continue
		}
		n, err := strconv.ParseUint(strings.TrimSpace(value), 10, 63)
		if err != nil {
			return 0, fmt.Errorf("status: %w", err)
		}
		sum += n
		found++
	}
	if err := in.Err(); err != nil {
		return 0, err
	}
	if found != 2 {
		return 0, fmt.Errorf("status: %d counts of context switches, want 2", found)
	}
	return sum, nil
}

// thread is what one thread did so far.
type thread struct {
	switches uint64
	cpu      uint64 // ns, guest code included
}

// threads reads what all threads of a process did so far, by thread.
func threads(pid int) (map[string]thread, error) {
	dirs, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid))
	if err != nil {
		return nil, err
	}
	all := make(map[string]thread, len(dirs))
	for _, dir := range dirs {
		t, err := readThread(dir)
		if errors.Is(err, os.ErrNotExist) {
			continue // it has ended meanwhile
		}
		if err != nil {
			return nil, err
		}
		all[dir] = t
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("process %d has ended", pid)
	}
	return all, nil
}

func readThread(dir string) (t thread, err error) {
	f, err := os.Open(filepath.Join(dir, "status"))
	if err != nil {
		return t, err
	}
	defer f.Close()
	if t.switches, err = parseSwitches(f); err != nil {
		return t, err
	}
	b, err := os.ReadFile(filepath.Join(dir, "schedstat")) // ns on a CPU, ns waiting, number of slices
	if err != nil {
		return t, err
	}
	first, _, _ := strings.Cut(string(b), " ")
	t.cpu, err = strconv.ParseUint(first, 10, 64)
	return t, err
}

// since is what all threads did between two readings, and what the one that was woken most did: the vCPU's, in a VMM
// whose guest has one. Threads that came in between count in full.
func since(before, after map[string]thread) (all, busiest thread) {
	for tid, t := range after {
		d := thread{t.switches - before[tid].switches, t.cpu - before[tid].cpu}
		all.switches += d.switches
		all.cpu += d.cpu
		if d.switches > busiest.switches || d.switches == busiest.switches && d.cpu > busiest.cpu {
			busiest = d
		}
	}
	return all, busiest
}

// smaps reads a process's mappings.
func smaps(pid int) ([]mapping, error) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/smaps", pid))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return parseSmaps(f)
}

// children returns the processes that a process started and that are still there.
func children(pid int) ([]int, error) {
	names, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid)) // any thread may have started it
	if err != nil {
		return nil, err
	}
	var b []byte
	for _, name := range names {
		one, err := os.ReadFile(name)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
		b = append(b, one...)
	}
	var pids []int
	for _, f := range strings.Fields(string(b)) {
		child, err := strconv.Atoi(f)
		if err != nil {
			return nil, fmt.Errorf("children of %d: %w", pid, err)
		}
		pids = append(pids, child)
	}
	return pids, nil
}
