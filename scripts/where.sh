# Sourced by scripts that boot virtual machines: sets $vm to what a command is prefixed with, so that it meets a usable
# hypervisor: nothing on a machine that has one, else the lab.
root=$(cd "$(dirname "$0")/.." && pwd)
if "$root/bin/husk" doctor >/dev/null 2>&1; then
  vm=
  place="this machine's own hypervisor"
else
  sh "$root/scripts/deps.sh"
  make -s -C "$root" lab
  vm="$root/bin/kvmlab --"
  place="the lab: a nested KVM inside an emulated machine, because this machine has no usable hypervisor"
fi
