#!/bin/sh
# Runs every fuzz target for FUZZTIME (default 4s). A crasher is written to the package's testdata and fails the run.
set -eu
time=${FUZZTIME:-4s}
log=$(mktemp)
trap 'rm -f "$log"' EXIT
n=0
for file in $(git ls-files -co --exclude-standard '*_test.go'); do
  for target in $(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' "$file"); do
    go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" -fuzzminimizetime 10x "./$(dirname "$file")" >"$log" 2>&1 || {
      cat "$log"
      echo "fuzz: $file: $target failed"
      exit 1
    }
    n=$((n + 1))
  done
done
echo "fuzz: $n targets, $time each, no failure"
