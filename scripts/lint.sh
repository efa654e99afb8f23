#!/bin/sh
# Formatting, vet, staticcheck, and the house plan.
set -eu
tool="go tool -modfile=tools/go.mod"
files=$(git ls-files -co --exclude-standard '*.go')
bad=$($tool gofumpt -l $files)
if [ -n "$bad" ]; then
  echo "not gofumpt-clean: run: go tool -modfile=tools/go.mod gofumpt -w $bad" >&2
  exit 1
fi
go vet ./...
$tool staticcheck ./...
go test ./internal/arch
