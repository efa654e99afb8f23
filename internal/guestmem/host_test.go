package guestmem

import (
	"strings"
	"testing"

	"github.com/husk-vm/husk/internal/hostos"
)

func TestCheckHost(t *testing.T) {
	ram, err := hostos.HostRAM()
	if err != nil {
		if err := CheckHost(1 << 62); err != nil {
			t.Errorf("refused although the host's memory is unknown: %v", err)
		}
		return
	}
	if err := CheckHost(ram.Total); err != nil {
		t.Errorf("all of the host's memory: %v", err)
	}
	if err := CheckHost(ram.Total + 1); err == nil || !strings.Contains(err.Error(), "this host has") {
		t.Errorf("more than the host's memory: %v", err)
	}
}
