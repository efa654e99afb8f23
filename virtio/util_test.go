package virtio_test

import (
	"testing"

	"github.com/husk-vm/husk/internal/guestmem"
)

func store16(t testing.TB, r guestmem.Range, off uint64, v uint16) {
	t.Helper()
	if err := r.Store16(off, v); err != nil {
		t.Fatal(err)
	}
}

func load16(t testing.TB, r guestmem.Range, off uint64) uint16 {
	t.Helper()
	v, err := r.Load16(off)
	if err != nil {
		t.Fatal(err)
	}
	return v
}
