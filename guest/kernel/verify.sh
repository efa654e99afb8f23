#!/bin/sh
# Build the guest kernel from nothing and compare it with the committed image.
#
#   verify.sh [-j JOBS] [-a ARCHIVE]
#
# Exit status: 0 the same bytes; 1 they differ, or the build failed; 3 the archive no longer offers the pinned source.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
. "$here/source.env"

(cd "$here" && sha256sum --quiet -c SHA256SUMS) || {
	echo "kernel: verify: the committed image is not the one SHA256SUMS names" >&2
	exit 1
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$here/build.sh" -w "$work" -o "$work/bzImage" "$@" || exit $?
if cmp "$work/bzImage" "$here/bzImage"; then
	echo "kernel: verified: $SOURCE_PACKAGE $SOURCE_VERSION and config.fragment give the committed image"
	exit 0
fi
echo "kernel: verify: the build differs from the committed image" >&2
now=$("$here/toolchain.sh")
if [ "$now" != "$(cat "$here/toolchain")" ]; then
	echo "kernel: the toolchain is not the one the image was built with:" >&2
	echo "$now" | diff "$here/toolchain" - >&2 || true
fi
exit 1
