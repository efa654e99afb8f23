#!/bin/sh
# Boots real kernels. A test that skips here has failed.
set -eu
. "$(dirname "$0")/where.sh"
cd "$root"
sh scripts/deps.sh # the distribution's kernel
echo "e2e: on $place"
HUSK_BIN="$root/bin/husk"
export HUSK_BIN CGO_ENABLED=0
exec=
[ -z "$vm" ] || exec="-exec=$vm"
go run ./internal/testreport -no-skips . -- ${exec:+"$exec"} -count=1 -p 1 -timeout 25m ./internal/hv/kvm ./internal/e2e "$@"
