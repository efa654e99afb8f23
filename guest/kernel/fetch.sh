#!/bin/sh
# Fetch the pinned kernel source package with apt and unpack its archive into a directory.
#
#   fetch.sh DIRECTORY
#
# Exit status 3: the archive offers the package no longer in the pinned version.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
. "$here/source.env"
dir=$1

command -v apt-get >/dev/null || {
	echo "kernel: fetch source: no apt-get here; get $SOURCE_FILE of $SOURCE_PACKAGE $SOURCE_VERSION and pass it with -a" >&2
	exit 1
}
offered=$(apt-cache madison "$SOURCE_PACKAGE" | awk -F'|' '{ gsub(/ /, "", $2); print $2 }' | sort -u)
if ! echo "$offered" | grep -qxF "$SOURCE_VERSION"; then
	if [ -z "$offered" ]; then
		echo "kernel: fetch source: apt knows no package $SOURCE_PACKAGE: run apt-get update; it is Debian 12's" >&2
		exit 1
	fi
	echo "kernel: fetch source: the archive no longer offers $SOURCE_PACKAGE $SOURCE_VERSION, the pinned version; it offers: $(echo $offered)" >&2
	echo "kernel: the image cannot be verified from the archive any more: get the old package from Debian's snapshot service and pass its $SOURCE_FILE with -a, or move to a new version (README.md)" >&2
	exit 3
fi
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
(cd "$tmp" && apt-get -qq -o APT::Sandbox::User= download "$SOURCE_PACKAGE=$SOURCE_VERSION")
dpkg-deb --fsys-tarfile "$tmp"/*.deb | tar -xO "./usr/src/$SOURCE_FILE" >"$dir/$SOURCE_FILE.tmp"
mv "$dir/$SOURCE_FILE.tmp" "$dir/$SOURCE_FILE"
