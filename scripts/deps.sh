#!/bin/sh
# Installs the Debian packages that tests, benchmarks and the lab use, where they are missing. Husk itself needs none.
set -eu
packages="qemu-system-x86 linux-image-amd64 linux-image-cloud-amd64 busybox-static kmod acpica-tools dmidecode"
missing=
for p in $packages; do
  case $(dpkg-query -W -f '${Status}' "$p" 2>/dev/null) in
    *" installed") ;;
    *) missing="$missing $p" ;;
  esac
done
[ -n "$missing" ] || exit 0
if [ "$(id -u)" != 0 ]; then
  echo "missing packages: as root, run: apt-get install$missing" >&2
  exit 1
fi
echo "installing$missing"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
export DEBIAN_FRONTEND=noninteractive
if ! { apt-get update -qq && apt-get install -y -qq --no-install-recommends $missing; } >"$log" 2>&1; then
  cat "$log" >&2
  echo "could not install$missing" >&2
  exit 1
fi
