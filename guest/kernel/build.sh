#!/bin/sh
# Build the guest kernel from the distribution's kernel source package.
#
#   build.sh [-w WORKDIR] [-o OUT] [-j JOBS] [-a ARCHIVE] [-c]
#
# WORKDIR  where the source is unpacked and built (default: $TMPDIR/husk-kernel); kept, so that a
#          second build is short. Remove it for a build from nothing.
# OUT      the image to write (default: bzImage beside this script).
# ARCHIVE  the source archive (default: the installed package's file, else fetched with apt-get).
# -c       stop after the configuration: write WORKDIR/.../.config and check it.
#
# The same source, configuration and toolchain give the same bytes, whatever the directory, user,
# host or date: those are pinned below.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
. "$here/source.env"

work=${TMPDIR:-/tmp}/husk-kernel out=$here/bzImage jobs=$(nproc) archive= configonly=
while getopts w:o:j:a:c opt; do
	case $opt in
	w) work=$OPTARG ;;
	o) out=$OPTARG ;;
	j) jobs=$OPTARG ;;
	a) archive=$OPTARG ;;
	c) configonly=1 ;;
	*) echo "usage: build.sh [-w workdir] [-o out] [-j jobs] [-a archive] [-c]" >&2; exit 2 ;;
	esac
done

die() { echo "kernel: $*" >&2; exit 1; }

export LC_ALL=C TZ=UTC
unset MAKEFLAGS MAKEOVERRIDES KCFLAGS KAFLAGS LOCALVERSION CROSS_COMPILE ARCH || true
export KBUILD_BUILD_TIMESTAMP="$BUILD_DATE" KBUILD_BUILD_USER=husk KBUILD_BUILD_HOST=husk KBUILD_BUILD_VERSION=1
export SOURCE_DATE_EPOCH="$BUILD_EPOCH"
[ "$(uname -m)" = x86_64 ] || die "build kernel: needs an x86-64 host, this is $(uname -m)"
for tool in gcc ld make flex bison bc lz4 perl xz sha256sum; do
	command -v "$tool" >/dev/null || die "build kernel: $tool is missing; install: $BUILD_PACKAGES"
done
[ -e /usr/include/libelf.h ] || die "build kernel: libelf.h is missing; install: $BUILD_PACKAGES"

mkdir -p "$work"
work=$(cd "$work" && pwd)
out=$(realpath "$out") # the build changes directory

# 1. The source archive: installed, or fetched; either way checked against the pinned digest.
if [ -z "$archive" ]; then
	archive=/usr/src/$SOURCE_FILE
	[ -e "$archive" ] || archive=$work/$SOURCE_FILE
	if [ ! -e "$archive" ]; then
		"$here/fetch.sh" "$work"
	fi
fi
got=$(sha256sum "$archive" | cut -d' ' -f1)
[ "$got" = "$SOURCE_SHA256" ] || die "check source $archive: sha256 is $got, pinned is $SOURCE_SHA256 ($SOURCE_PACKAGE $SOURCE_VERSION); see README.md, \"Moving to a new source\""

# 2. Unpack, in a directory named by its digest: never a mixture of two versions.
tree=$work/src-$(printf %.12s "$SOURCE_SHA256")
if [ ! -e "$tree/.unpacked" ]; then
	rm -rf "$tree"
	mkdir -p "$tree"
	tar -C "$tree" --strip-components=1 -xf "$archive"
	touch "$tree/.unpacked"
fi
cd "$tree"

# 3. Configure: tinyconfig, our fragment over it, defaults for the rest; then every line of the
# fragment must have survived.
make -s tinyconfig >/dev/null
scripts/kconfig/merge_config.sh -m .config "$here/config.fragment" >/dev/null
make -s olddefconfig
bad=0
while IFS= read -r line; do
	case $line in
	CONFIG_*=*) grep -qxF "$line" .config || { echo "kernel: config: not taken: $line" >&2; bad=1; } ;;
	"# CONFIG_"*" is not set")
		name=${line#\# }; name=${name%% *}
		! grep -q "^$name=[ym]" .config || { echo "kernel: config: still set: $name" >&2; bad=1; } ;;
	esac
done <"$here/config.fragment"
[ $bad = 0 ] || die "config: the fragment names options that this source does not give"
[ -z "$configonly" ] || { echo "$tree/.config"; exit 0; }

# 4. Build.
make -s -j"$jobs" bzImage
cp arch/x86/boot/bzImage "$out.tmp"
chmod 644 "$out.tmp"
mv "$out.tmp" "$out"
echo "kernel: $out: $(stat -c %s "$out") bytes, sha256 $(sha256sum "$out" | cut -d' ' -f1)"
