#!/bin/sh
# Print where the distribution's unmodified cloud kernel is: the image on the first line, its modules on the second.
#
#   distro.sh DIRECTORY
#
# The installed package's, if there is one; else the package linux-image-cloud-amd64 depends on is fetched with apt (no root
# needed) and unpacked into DIRECTORY, once.
set -eu
dir=$1

newest() { ls -d "$1"/boot/vmlinuz-*-cloud-amd64 2>/dev/null | sort -V | tail -1; }
show() {
	release=${2##*/vmlinuz-}
	echo "$2"
	echo "$1/lib/modules/$release"
}

image=$(newest "")
if [ -n "$image" ] && [ -r "$image" ]; then
	show "" "$image"
	exit 0
fi
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)
image=$(newest "$dir")
if [ -z "$image" ]; then
	command -v apt-get >/dev/null || {
		echo "kernel: distro: no apt-get here and no cloud kernel in /boot" >&2
		exit 1
	}
	package=$(apt-cache depends linux-image-cloud-amd64 | awk '$1 == "Depends:" && $2 ~ /^linux-image-.*-cloud-amd64$/ { print $2; exit }')
	[ -n "$package" ] || {
		echo "kernel: distro: apt knows no linux-image-cloud-amd64: run apt-get update" >&2
		exit 1
	}
	tmp=$(mktemp -d)
	trap 'rm -rf "$tmp"' EXIT
	(cd "$tmp" && apt-get -qq -o APT::Sandbox::User= download "$package")
	dpkg-deb --fsys-tarfile "$tmp"/*.deb | tar -C "$dir" -x ./boot ./lib/modules
	image=$(newest "$dir")
fi
show "$dir" "$image"
