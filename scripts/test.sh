#!/bin/sh
# Every check and test, in the order of their cost. On a fresh machine it installs what it needs first.
set -eu
cd "$(dirname "$0")/.."
step() {
  name=$1
  shift
  echo "== $name"
  start=$(date +%s)
  "$@" || {
    echo "== $name FAILED"
    exit 1
  }
  echo "== $name: $(($(date +%s) - start)) s"
}
step deps sh scripts/deps.sh
step build make -s build lab
step lint sh scripts/lint.sh
step unit go run ./internal/testreport -- -race -timeout 10m $(go list ./... | grep -v /internal/e2e)
step e2e sh scripts/e2e.sh
step fuzz sh scripts/fuzz.sh
step cross sh scripts/cross.sh
bin/kvmlab stop >/dev/null 2>&1 || true
echo "all checks passed"
