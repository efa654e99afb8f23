#!/bin/sh
# Benchmarks: bench.sh boot|vmm|virtio [option...]. Options go to the benchmark's program. docs/benchmarks.md says what
# each measures.
set -eu
what=${1:?"usage: bench.sh boot|vmm|virtio"}
shift
root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"

# machine prints what the machine is that the command "$@" runs on.
machine() {
  "$@" sh -c '
    model=$(sed -n "s/^model name[^:]*: //p" /proc/cpuinfo | head -n 1)
    echo "$(nproc) CPUs: ${model:-$(uname -m)}; $(uname -sr); load $(cut -d " " -f 1-3 /proc/loadavg)"'
}

echo "machine: $(machine env)"
case $what in
  virtio)
    # In this process, without a hypervisor: the device and a driver in Go.
    go test -run '^$' -bench '^BenchmarkTable$' -benchtime 1x ./virtio/blk "$@"
    echo "allocations an operation, by queue path (testing.AllocsPerRun):"
    log=$(mktemp)
    trap 'rm -f "$log"' EXIT
    if ! go test -v -count=1 -run 'Alloc' ./virtio ./virtio/pci ./virtio/blk ./virtio/console ./virtio/entropy ./virtio/vsock >"$log" 2>&1; then
      cat "$log" >&2
      exit 1
    fi
    awk '
      /_test\.go:[0-9]+: allocations: / { sub(/.*: allocations: /, ""); line[n++] = $0 }
      $1 == "ok" { sub(/.*\/husk\//, "", $2); for (i = 0; i < n; i++) printf "  %-16s %s\n", $2, line[i]; all += n; n = 0 }
      END { exit all == 0 }' "$log"
    exit
    ;;
  boot | vmm) ;;
  *)
    echo "bench.sh: no benchmark named $what: boot, vmm or virtio" >&2
    exit 2
    ;;
esac

. scripts/where.sh
sh scripts/deps.sh # QEMU
echo "on $place"
[ -z "$vm" ] || echo "there: $(machine $vm)"
mkdir -p build/bench
for p in boot vmm bootinit; do
  CGO_ENABLED=0 go build -trimpath -o "build/bench/$p" "./internal/bench/$p"
done
go run ./internal/bench/guest -init build/bench/bootinit -o build/bench
echo
exec $vm "build/bench/$what" -husk bin/husk -kernel build/bench/bzImage -initrd build/bench/init.cpio "$@"
