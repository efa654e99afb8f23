package guestmem

import (
	"fmt"

	"github.com/husk-vm/husk/internal/hostos"
)

// CheckHost refuses n bytes of guest RAM if this host has less than that. A guest takes its memory page by page, so such
// a VM would start, and die later when the host's pages run out. What other programs hold is not counted: the host can
// page that out. Where the host does not say how much it has, nothing is refused.
func CheckHost(n uint64) error {
	ram, err := hostos.HostRAM()
	if err != nil || n <= ram.Total {
		return nil
	}
	const mib = 1 << 20
	return fmt.Errorf("guestmem: %d MiB of guest memory: this host has %d MiB", n/mib, ram.Total/mib)
}
