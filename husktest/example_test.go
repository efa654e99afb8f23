package husktest_test

import (
	"strings"
	"testing"

	"github.com/husk-vm/husk/husktest"
)

// A test that needs root, a kernel of its own, and a clean machine.
func Example() {
	test := func(t *testing.T) {
		vm := husktest.New(t, husktest.Config{CPUs: 2})
		out, err := vm.Command("sh", "-c", "mkdir /tmp/m && mount -t tmpfs none /tmp/m && mount").Output()
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(out), "/tmp/m") {
			t.Errorf("not mounted:\n%s", out)
		}
	}
	_ = test // go test calls it
}
