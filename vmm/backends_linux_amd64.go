package vmm

import (
	"github.com/husk-vm/husk/internal/hv"
	"github.com/husk-vm/husk/internal/hv/kvm"
)

// backends lists what can run guests on this kind of host, best first.
func backends() []hv.Backend { return []hv.Backend{kvm.New()} }
