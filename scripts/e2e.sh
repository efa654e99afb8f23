#!/bin/sh
# Boots real kernels. A test that skips here has failed.
set -eu
. "$(dirname "$0")/where.sh"
cd "$root"
make -s build lab
sh scripts/deps.sh # the distribution's kernel
echo "e2e: on $place"
HUSK_BIN="$root/bin/husk"
export HUSK_BIN CGO_ENABLED=0
exec=
[ -z "$vm" ] || exec="-exec=$vm"
tests() {
  go run ./internal/testreport -no-skips . -- ${exec:+"$exec"} -count=1 -p 1 -timeout 25m ./internal/hv/kvm ./internal/e2e "$@"
}
# The lab's emulated machine may stand still for minutes. It notes that on its console; only then is a failure no
# verdict, and the tests run once more, in a fresh machine.
if ! tests "$@"; then
  [ -n "$vm" ] && bin/kvmlab console | grep "kvmlab: this machine stood still" || exit 1
  echo "e2e: the lab stood still: once more, in a new one"
  bin/kvmlab stop
  tests "$@"
fi

# What a user writes, in a module outside of this one.
outside=$(mktemp -d)
trap 'rm -rf "$outside"' EXIT
cp internal/e2e/testdata/outside/*.go go.sum "$outside"
cat >"$outside/go.mod" <<X
module example.org/outside

go 1.26

require github.com/husk-vm/husk v0.0.0

replace github.com/husk-vm/husk => $root
X
cd "$outside"
GOFLAGS=-mod=mod go test ${exec:+"$exec"} -count=1 -timeout 10m ./...
