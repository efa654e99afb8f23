//go:build !(linux && amd64)

package vmm

import "github.com/husk-vm/husk/internal/hv"

// backends lists what can run guests on this kind of host: nothing yet.
func backends() []hv.Backend { return nil }
