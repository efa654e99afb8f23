package hostos

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// ReleaseProgram gives back the memory that pages of the program's own file occupy: code that ran once and data that was
// copied elsewhere. What is used again comes back from the page cache, a fault at a time. It is safe at any time.
func ReleaseProgram() error {
	exe, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return fmt.Errorf("hostos: release program: %w", err)
	}
	f, err := os.Open("/proc/self/smaps")
	if err != nil {
		return fmt.Errorf("hostos: release program: %w", err)
	}
	defer f.Close()
	for _, m := range cleanMappings(f, exe) {
		// The mapping is no object of this program's, so its address is a number here.
		if _, _, errno := unix.Syscall(unix.SYS_MADVISE, m.addr, m.length, unix.MADV_DONTNEED); errno != 0 {
			return fmt.Errorf("hostos: release program: %w", errno)
		}
	}
	return nil
}

// span is a range of addresses.
type span struct{ addr, length uintptr }

// cleanMappings finds the mappings of a file that hold what the file holds and nothing else: they cannot be written, and
// have no page that is not the file's. A linker's relocated constants are such pages, in programs that have relocations;
// dropping those would lose them. r is /proc/PID/smaps.
func cleanMappings(r io.Reader, file string) []span {
	var clean []span
	var at span // the mapping whose lines are being read; length 0: not one of interest
	for s := bufio.NewScanner(r); s.Scan(); {
		f := strings.Fields(s.Text())
		switch {
		case len(f) >= 5 && strings.Contains(f[0], "-") && !strings.HasSuffix(f[0], ":"):
			at = span{}
			// start-end perms offset device inode path
			if len(f) < 6 || strings.Join(f[5:], " ") != file || len(f[1]) != 4 || f[1][1] != '-' || f[1][3] != 'p' {
				continue
			}
			from, to, _ := strings.Cut(f[0], "-")
			start, err := strconv.ParseUint(from, 16, strconv.IntSize)
			end, err2 := strconv.ParseUint(to, 16, strconv.IntSize)
			if err == nil && err2 == nil && start < end {
				at = span{uintptr(start), uintptr(end - start)}
			}
		case len(f) == 3 && f[0] == "Anonymous:" && f[1] == "0" && at.length > 0:
			clean = append(clean, at)
		}
	}
	return clean
}
