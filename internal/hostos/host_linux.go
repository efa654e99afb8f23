package hostos

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// CPUs is the number of host CPUs that this process may use now.
func CPUs() int {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return 1 // more than 1024 CPUs in the host's mask, or a filter: one there is
	}
	return set.Count()
}

// HostRAM asks the host how much memory it has.
func HostRAM() (RAM, error) {
	f, err := os.Open("/proc/meminfo")
	if err != nil {
		return RAM{}, fmt.Errorf("hostos: host memory: %w", err)
	}
	defer f.Close()
	return parseMeminfo(f)
}

// parseMeminfo reads lines such as "MemAvailable:   123456 kB".
func parseMeminfo(r io.Reader) (RAM, error) {
	var ram RAM
	for s := bufio.NewScanner(r); s.Scan(); {
		key, val, ok := bytes.Cut(s.Bytes(), []byte(":"))
		if !ok {
			continue
		}
		val = bytes.TrimSpace(bytes.TrimSuffix(bytes.TrimSpace(val), []byte("kB")))
		kib, err := strconv.ParseUint(string(val), 10, 54)
		if err != nil {
			continue
		}
		switch string(key) {
		case "MemTotal":
			ram.Total = kib << 10
		case "MemAvailable":
			ram.Available = kib << 10
		}
	}
	if ram.Total == 0 {
		return RAM{}, fmt.Errorf("hostos: host memory: /proc/meminfo has no MemTotal")
	}
	if ram.Available == 0 {
		ram.Available = ram.Total
	}
	return ram, nil
}
