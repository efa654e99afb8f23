package cli

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// parseSize turns "512M", "1.5G" or "1073741824" into bytes. Units are powers of 1024: K, M, G, T, with an optional B or
// iB, in either case.
func parseSize(text string) (uint64, error) {
	s := strings.ToUpper(strings.TrimSpace(text))
	digits := s[:len(s)-len(strings.TrimLeft(s, "0123456789."))]
	unit := strings.TrimSuffix(strings.TrimSuffix(strings.TrimSpace(s[len(digits):]), "B"), "I")
	shift, ok := map[string]int{"": 0, "K": 10, "M": 20, "G": 30, "T": 40}[unit]
	f, err := strconv.ParseFloat(digits, 64)
	if !ok || err != nil || shift == 0 && strings.Contains(digits, ".") {
		return 0, fmt.Errorf("size %q: want a number with an optional K, M, G or T, such as 512M", text)
	}
	if n, err := strconv.ParseUint(digits, 10, 64); err == nil && n <= math.MaxUint64>>shift {
		return n << shift, nil // exact, where a float would round
	}
	if f *= float64(uint64(1) << shift); f >= math.MaxUint64 {
		return 0, fmt.Errorf("size %q: too large", text)
	}
	return uint64(f), nil
}

// formatSize prints bytes as a person would write them.
func formatSize(n uint64) string {
	for _, u := range []struct {
		shift int
		name  string
	}{{40, "T"}, {30, "G"}, {20, "M"}, {10, "K"}} {
		if n >= 1<<u.shift && n%(1<<u.shift) == 0 {
			return fmt.Sprintf("%d%s", n>>u.shift, u.name)
		}
	}
	return strconv.FormatUint(n, 10)
}
