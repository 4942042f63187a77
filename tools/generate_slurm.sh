#!/bin/sh
# The examples in share/slurm, by protlm slurm. usage: tools/generate_slurm.sh PROTLM ROOT
# With --check: compare with the files under ROOT instead of writing them; names what differs.
set -eu
mode='write'
[ "${1:-}" != --check ] || { mode=check; shift; }
protlm=$(realpath "$1") root=$(realpath "$2") stale=0
made=$(mktemp -d)
trap 'rm -rf "$made"' EXIT
cd "$made"
for name in $(env | sed -n 's/^\(PROTLM_[A-Z_]*\)=.*/\1/p'); do unset "$name"; done
mkdir -p slurm images/protlm
printf '>a\nMKTAYIAKQR\n' >proteins.fasta # so that nothing is said to be missing
: >protlm.sif

example() { # name; options of protlm slurm, and what is run
  name=$1
  shift
  "$protlm" slurm --no-discover "$@" >"slurm/$name.sh"
}
run='train --model facebook/esm2_t33_650M_UR50D --train proteins.fasta --eval-fraction 0.01'

# shellcheck disable=SC2086
{
  example cpu --preset cpu --nodes 2 --ranks-per-node 2 --time 24h --program protlm -- $run --output-dir runs/cpu
  example mpirun --preset cpu --nodes 2 --ranks-per-node 2 --cpus-per-task 32 --time 24h --launcher mpirun --module openmpi \
    --program protlm -- $run --output-dir runs/mpirun
  example nvidia --preset nvidia --nodes 2 --gpus-per-node 4 --cpus-per-task 16 --exclusive --time 24h --partition gpu \
    --program protlm -- $run --output-dir runs/nvidia
  example setonix --preset setonix --account project --nodes 4 --time 24h --program protlm -- $run --output-dir runs/setonix
  example lumi --preset lumi --account project_462000000 --nodes 4 --time 48h --program protlm -- $run --output-dir runs/lumi
  example array --preset cpu --ranks-per-node 2 --time 12h --array 0-3%2 --program protlm -- $run --seed %a --output-dir runs/seed-%a
  example apptainer --preset nvidia --nodes 2 --gpus-per-node 4 --cpus-per-task 16 --exclusive --time 24h --container protlm.sif \
    --bind /data/models -- $run --output-dir runs/apptainer
  example charliecloud --preset cpu --nodes 2 --ranks-per-node 2 --time 24h --container images/protlm \
    -- $run --output-dir runs/charliecloud
  example eval --preset cpu --nodes 1 --ranks-per-node 2 --time 2h --program protlm -- eval --model runs/cpu/final --data proteins.fasta
}

for file in $(ls slurm; cd "$root/share/slurm" 2>/dev/null && ls); do
  if [ "$mode" = check ]; then
    cmp -s "slurm/$file" "$root/share/slurm/$file" || { echo "share/slurm/$file is not what protlm slurm makes: run make docs" >&2; stale=1; }
  elif [ -e "slurm/$file" ]; then
    mkdir -p "$root/share/slurm"
    cp "slurm/$file" "$root/share/slurm/$file"
  fi
done
exit $stale
