#!/usr/bin/env bash
# A two-node Slurm on this host, for as long as one command runs.
# usage: tests/slurm/cluster.sh [--gpus N] [--cpus N] [--paced] COMMAND [ARGUMENT...]
#   --gpus N    fake GPUs on each node (default 0)
#   --cpus N    CPUs each node offers (default 4; they share this host's)
#   --paced     each node's link carries 2 Gbit/s
# Exits with the command's status, or 77 after one line that says why there can be no cluster here.
#
# Three hosts, each a network, a host name and a /dev/shm of its own: ctl (10.77.0.254: munged, slurmctld, the command), n1 and n2
# (10.77.0.1 and .2: slurmd, by node.sh). They are inside namespaces that this command alone lives in, of processes, mounts and
# networks: when it ends, by itself or by whatever signal, everything in them is gone, and nothing outside has been touched: no port,
# no file in /etc, no process. So any number of clusters may run beside each other. Without root they are inside a user namespace too, for
# which the user must have numbers of other users (lines in /etc/subuid and /etc/subgid, as adduser makes them): Slurm drops groups.
# The command finds: SLURM_CONF, CLUSTER_STATE (a directory in memory: logs in log/), and node.sh beside this file.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
PATH=$PATH:/usr/sbin:/sbin
export PATH

usage() { sed -n 's/^# \(usage: .*\)/\1/p' "$here/cluster.sh" >&2; exit 2; }
cannot() { echo "skipped: $*" >&2; exit 77; }

# ---- outside: ask for the namespaces ----

namespaces=(--pid --fork --kill-child --mount-proc --mount --net --uts --ipc)
[ "$(id -u)" = 0 ] || namespaces=(--user --map-root-user --map-auto "${namespaces[@]}")

check_here() {
  local program
  for program in slurmctld slurmd sbatch munged ip tc unshare nsenter setpriv; do
    command -v "$program" >/dev/null || cannot "there is no $program here; \`tools/install-deps.sh --slurm\` installs it"
  done
  [ "$(id -u)" = 0 ] || command -v newuidmap >/dev/null || cannot "without root there must be newuidmap here, of the package uidmap"
  local trial='mount -t tmpfs none /run && ip netns add a && ip link add v0 type veth peer name v1 netns a && hostname a'
  local said
  said=$(unshare "${namespaces[@]}" sh -c "$trial" 2>&1) || cannot "namespaces with a network of their own are not to be had here: $said"
}

# Everything inside dies with this process (setpriv), and this process with whoever started it if that ends by a signal of the terminal.
outside() {
  check_here
  PRIVATE_CLUSTER=starting setpriv --pdeathsig KILL unshare "${namespaces[@]}" bash "$here/cluster.sh" "$@" <&0 &
  local inside=$!
  trap 'kill -KILL $inside; wait $inside 2>/dev/null; exit 143' TERM HUP
  trap 'kill -KILL $inside; wait $inside 2>/dev/null; exit 130' INT
  wait $inside
  exit $?
}

# ---- inside: process 1 of a world of its own ----

write_configuration() {
  local gres='' memory
  memory=$(awk '/^MemTotal/ { print int($2 / 2048) }' /proc/meminfo) # MB: half of the host's for each
  [ "$gpus" = 0 ] || gres="Gres=gpu:$gpus"
  # cred_expire and the scheduler's intervals: so that a requeued job starts after 6 s and not after 120.
  cat >"$D/slurm.conf" <<T
ClusterName=test
SlurmctldHost=ctl
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=$D/munge/sock,cred_expire=5
StateSaveLocation=$D/state
SlurmdSpoolDir=$D/spool.%n
SlurmctldPidFile=$D/run/slurmctld.pid
SlurmdPidFile=$D/run/slurmd.%n.pid
SlurmctldLogFile=$D/log/slurmctld
SlurmdLogFile=$D/log/slurmd.%n
SlurmdParameters=config_overrides
TmpFS=$D/tmp.%n
MailProg=/bin/true
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
ReturnToService=2
MpiDefault=none
KillWait=5
InactiveLimit=0
SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=0
${gres:+GresTypes=gpu}
NodeName=n[1-2] CPUs=$cpus RealMemory=$memory $gres State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
T
}

# A fake GPU is a file that Slurm takes for a device: /dev/null under another name, which needs no right to make devices.
write_gpus() {
  local k
  for ((k = 0; k < gpus; k++)); do
    : >"$D/gpu$k"
    mount --bind /dev/null "$D/gpu$k"
  done
  [ "$gpus" = 0 ] || echo "NodeName=n[1-2] Name=gpu File=$D/gpu[0-$((gpus - 1))]" >"$D/gres.conf"
}

make_hosts() {
  local k
  hostname ctl
  ip link set lo up
  ip link add hub type bridge
  ip addr add 10.77.0.254/24 dev hub
  ip link set hub up
  { cat /etc/hosts; printf '10.77.0.254 ctl\n10.77.0.1 n1\n10.77.0.2 n2\n'; } >"$D/hosts"
  mount --bind "$D/hosts" /etc/hosts # seen in here only
  for k in 1 2; do
    ip netns add n$k
    ip link add port$k type veth peer name eth0 netns n$k
    ip link set port$k master hub up
    ip -n n$k addr add 10.77.0.$k/24 dev eth0
    ip -n n$k link set lo up
    ip -n n$k link set eth0 up
    [ "$paced" = 0 ] || pace $k
  done
}

# Both ends: what a node sends, and what it receives.
pace() {
  nsenter --net="/run/netns/n$1" tc qdisc add dev eth0 root tbf rate 2gbit burst 512k latency 20ms
  tc qdisc add dev "port$1" root tbf rate 2gbit burst 512k latency 20ms
}

start_daemons() {
  (umask 077 && head -c 1024 /dev/urandom >"$D/munge/key")
  # --force: in a user namespace / belongs to nobody, which munged minds
  munged --force --key-file="$D/munge/key" --socket="$D/munge/sock" --pid-file="$D/run/munged.pid" --log-file="$D/log/munged" \
    --seed-file="$D/munge/seed" 2>>"$D/log/munged"
  slurmctld
  "$here/node.sh" start n1
  "$here/node.sh" start n2
}

nodes_idle() { [ "$(timeout -k 3 10 sinfo -h -N -o %T 2>/dev/null | grep -c '^idle$')" = 2 ]; }

show_logs() {
  local log
  for log in "$D"/log/*; do echo "== $log"; tail -n 30 "$log"; done >&2
}

inside() {
  local gpus=0 cpus=4 paced=0 i status
  while :; do
    case ${1:-} in
      --gpus) gpus=$2; shift 2 ;;
      --cpus) cpus=$2; shift 2 ;;
      --paced) paced=1; shift ;;
      -*) usage ;;
      *) break ;;
    esac
  done
  [ $# -gt 0 ] || usage
  umask 022
  mount -t tmpfs -o mode=755 none /run
  D=/run/cluster
  mkdir -p "$D"/{munge,state,log,run,spool.n1,spool.n2,tmp.n1,tmp.n2}
  chmod 1777 "$D"/tmp.n?
  export CLUSTER_STATE=$D SLURM_CONF=$D/slurm.conf PRIVATE_CLUSTER=running
  export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
  (set -e; make_hosts; write_configuration; write_gpus; start_daemons) # not in a condition, which would make -e void
  status=$?
  [ $status = 0 ] || { show_logs; cannot "the cluster could not be started: see above"; }
  for ((i = 0; i < 200; i++)); do
    ! nodes_idle || break
    sleep .1
  done
  nodes_idle || { sinfo -N -l >&2; show_logs; cannot "the nodes did not come up within 20 s: see above"; }
  "$@"
  exit $?
}

if [ "${PRIVATE_CLUSTER:-}" = starting ] && [ $$ = 1 ]; then inside "$@"; else outside "$@"; fi
