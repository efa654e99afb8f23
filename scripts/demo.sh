#!/bin/sh
# The main job: boots a virtual machine, runs a command in it, and prints what it printed.
set -eu
. "$(dirname "$0")/where.sh"
echo "running on $place"
echo "+ husk run -- uname -a"
$vm "$root/bin/husk" run -- uname -a
echo "+ echo hello from the host | husk run --cpus 2 -- tr a-z A-Z"
echo hello from the host | $vm "$root/bin/husk" run --cpus 2 -- tr a-z A-Z
