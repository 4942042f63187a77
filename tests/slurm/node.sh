#!/usr/bin/env bash
# Start a node of the two-node cluster (cluster.sh), or crash it. usage: tests/slurm/node.sh start|restart|crash n1|n2
# A crash is a power cut: slurmd, the batch script and every rank on that node are killed at once, and nobody is told.
#   start     a node that boots over a network: nothing of its own is on disk
#   restart   a node with a disk: what its Slurm had there before the crash is still there
set -eu
node=$2
case $1 in
  start | restart)
    [ "$1" = restart ] || find "$CLUSTER_STATE/tmp.$node" "$CLUSTER_STATE/spool.$node" -mindepth 1 -delete
    # A network, a host name and a shared memory of its own: two ranks k of two nodes must not meet in one file. Not `ip netns exec`,
    # which hides /sys/fs/cgroup, without which slurmd does not start.
    nsenter --net="/run/netns/$node" unshare --uts --mount sh -eu -c "
      hostname $node
      mount -t tmpfs none /dev/shm
      exec slurmd -N $node"
    ;;
  crash)
    for _ in 1 2 3; do # a process may be starting another one right now
      # shellcheck disable=SC2046
      kill -KILL $(ip netns pids "$node") 2>/dev/null || :
    done
    ;;
  *) echo "usage: node.sh start|restart|crash n1|n2" >&2; exit 2 ;;
esac
