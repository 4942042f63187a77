#!/usr/bin/env bash
# Run a program on two hosts whose link carries 2 Gbit/s (0.25 GB/s) in each direction, one rank a host, by Open MPI over TCP.
# usage: bench/paced_link.sh [COMMAND [ARGUMENT...]]     without a command: what the link carries, paced and not
# The hosts are the nodes of tests/slurm/cluster.sh, on this machine; they share its cores, memory and files.
set -euo pipefail
cd "$(dirname "$0")/.."

on_two_hosts() { # [--paced] COMMAND...
  local paced=()
  [ "$1" != --paced ] || { paced=(--paced); shift; }
  tests/slurm/cluster.sh "${paced[@]}" salloc -Q -N 2 --ntasks-per-node 1 -c 1 \
    mpirun.openmpi --bind-to none --mca btl tcp,self --mca btl_tcp_if_include eth0 "$@"
}

if [ $# -gt 0 ]; then
  on_two_hosts --paced "$@"
  exit
fi
program=$(mktemp)
trap 'rm -f "$program"' EXIT
mpicc.openmpi -O2 -o "$program" bench/link.c
echo "paced:     $(on_two_hosts --paced "$program")"
echo "not paced: $(on_two_hosts "$program")"
