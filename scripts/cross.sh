#!/bin/sh
# Builds and vets every package for every system Husk is for; without cgo.
set -eu
export CGO_ENABLED=0
for os in linux darwin windows; do
  for arch in amd64 arm64; do
    GOOS=$os GOARCH=$arch go build ./...
    GOOS=$os GOARCH=$arch go vet ./...
    echo "cross: $os/$arch builds and vets"
  done
done
