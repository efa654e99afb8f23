// Package outside is what a user of husktest writes: scripts/e2e.sh builds it in a module of its own.
package outside

import (
	"errors"
	"strings"
	"testing"

	"github.com/husk-vm/husk/husktest"
)

func TestUname(t *testing.T) {
	vm := husktest.New(t, husktest.Config{CPUs: 2})
	out, err := vm.Command("uname", "-r").Output()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(out), "husk") {
		t.Errorf("the guest runs %q", out)
	}
}

func TestExitCode(t *testing.T) {
	vm := husktest.New(t, husktest.Config{})
	cmd := vm.Command("sh", "-c", "cat; echo problem >&2; exit 3")
	cmd.Stdin = strings.NewReader("input")
	out, err := cmd.Output()
	exit, ok := errors.AsType[*husktest.ExitError](err)
	if !ok || exit.ExitCode() != 3 || string(out) != "input" || string(exit.Stderr) != "problem\n" {
		t.Errorf("%q, %v", out, err)
	}
}
