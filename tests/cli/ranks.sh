#!/usr/bin/env bash
# The command line under a launcher: several ranks speak once, end with one code, and know of each other. usage: ranks.sh openmpi|mpich PROTLM
# 77: there is no launcher of that make of MPI, or this build has no module for it.
set -u
make=$1 program=$(realpath "$2")
case $make in
  openmpi) launcher=mpirun library='Open MPI' start=$(command -v mpirun.openmpi || command -v mpirun) flags='--oversubscribe --bind-to none' ;;
  mpich) launcher=mpiexec library='MPICH' start=$(command -v mpiexec.mpich || command -v mpiexec.hydra) flags='' ;;
  *) echo "usage: ranks.sh openmpi|mpich PROTLM"; exit 2 ;;
esac
[ -f "$(dirname "$program")/protlm_mpi_$make.so" ] || { echo "skipped: this build has no module for $make"; exit 77; }
[ -n "$start" ] || { echo "skipped: no launcher of $make"; exit 77; }
scratch=$(mktemp -d) && trap 'rm -rf "$scratch"' EXIT
cd "$scratch" || exit 1
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMP_WAIT_POLICY=passive LC_ALL=C NO_COLOR=1 PROTLM_CACHE=$scratch/cache
unset OMP_NUM_THREADS SLURM_CPUS_PER_TASK

bad=0
complain() {
  echo "$what: $1"
  sed 's/^/  out: /' out
  sed 's/^/  err: /' err
  bad=1
}

# Each rank notes its own exit code: a launcher's is its own matter. The words of $other, and the variable of $setting, are rank 1's.
cat >rank <<'R'
#!/bin/sh
rank=${OMPI_COMM_WORLD_RANK:-$PMI_RANK}
if [ "$rank" = 1 ] && [ -n "${other:-}" ]; then eval "set -- $other"; fi
if [ "$rank" = 1 ] && [ -n "${setting:-}" ]; then export "${setting?}"; fi
if [ -z "${term:-}" ] || [ "$rank" != 1 ]; then
  "$program" "$@"
  code=$?
else # asked to stop as soon as it holds back such signals, or listens
  "$program" "$@" & pid=$!
  until grep -Eq '^Sig(Blk|Cgt):.*[4-7cdef]...$' /proc/$pid/status; do sleep 0.01; done
  kill -TERM $pid
  wait $pid
  code=$?
fi
echo $code >"codes/$rank"
exit $code
R
chmod +x rank
export program

ranks() { # number of ranks, words; leaves out, err, codes/
  local n=$1
  shift
  what="$launcher -n $n protlm $*${other:+ (rank 1: $other)}"
  rm -rf codes && mkdir codes
  # shellcheck disable=SC2086
  timeout -k 3 120 "$start" $flags -n "$n" ./rank "$@" >out 2>err </dev/null
  ended=$?
}

# mpirun ends the shell around a rank before it has noted a code, where another rank ended with a failure: of $1 = 0 all are there.
all_end_with() { # code, number of ranks
  local noted
  noted=$(cat codes/* 2>/dev/null)
  [ "$(sort -u <<<"$noted")" = "$1" ] || complain "ranks ended with ${noted//$'\n'/ }, not with $1"
  [ "$1" != 0 ] || [ "$(wc -l <<<"$noted")" = "$2" ] || complain "not all of the $2 ranks ended by themselves"
  [ "$ended" = "$1" ] || complain "$launcher ended with $ended, not with $1"
}
times() { # file, words, number of times
  [ "$(grep -cF -- "$2" "$1")" = "$3" ] || complain "'$2' is not $3 times in std$1"
}

# ---- what is printed, is printed once ----
for n in 2 3; do
  ranks $n --version
  all_end_with 0 $n
  times out 'protlm ' 1
  ranks $n train --help
  all_end_with 0 $n
  times out 'Several ranks:' 1
done
ranks 2 train --model esm2_t6_8M --train a.fasta --output-dir run --print-config
all_end_with 0 2
times out 'output-dir:  ' 1

# ---- mistakes are told once, by the first rank, and end all alike ----
for n in 2 3; do
  ranks $n train --nonsense
  all_end_with 2 $n
  times err "--nonsense" 1
  ranks $n nonsense
  all_end_with 2 $n
  times err "no command 'nonsense'" 1
  ranks $n eval --model esm2_t6_8M --random-weights --data absent.fasta
  all_end_with 3 $n
  times err 'absent.fasta' 1
done
other='info --nonsense' ranks 3 info
all_end_with 2 3
times err "rank 1 ($(hostname)): unknown option --nonsense" 1
times out 'local rank' 0
other='--version' ranks 2 inspect tokens --sequence MKV # for one process: each stands for itself
[ "$(cat codes/0)" = 2 ] || complain 'rank 0 of inspect was not refused'

# ---- a warning is said once, by the first rank that has it ----
OMP_NUM_THREADS=many ranks 3 info
all_end_with 0 3
times err 'warning: OMP_NUM_THREADS=many is no number of threads' 1
times err '[rank' 0
setting=OMP_NUM_THREADS=odd ranks 3 info
all_end_with 0 3
times err "[rank 1 $(hostname)] warning: OMP_NUM_THREADS=odd is no number of threads" 1

# ---- info: one table ----
cpus=$(nproc)
for n in 2 3; do
  ranks $n info
  all_end_with 0 $n
  times out "$n ranks on 1 host, started by $launcher, joined by $library" 1
  times out '  rank  local rank  world size  host' 1
  awk -v n=$n -v host="$(hostname)" '$1 ~ /^[0-9]+$/ && NF > 5 && $2 != "ranks" { if ($1 != rows || $2 != rows || $3 != n || $4 != host) exit 1; rows++ } END { exit rows != n }' out ||
    complain 'the rows are not those of the ranks, in their order'
  share=$((cpus / n > 0 ? cpus / n : 1)) # not bound: all share all
  awk -v share=$share '/^ +[0-9]/ && NF > 5 && $2 != "ranks" && $7 != share { exit 1 }' out || complain "not $share of $cpus threads each"
done
ranks 2 info --json
all_end_with 0 2
times out '"world_size": 2' 3
times out '"oneDNN"' 1

# ---- more threads than processors ----
ranks 2 info --threads "$cpus"
all_end_with 0 2
times err "2 ranks on $(hostname) compute with $((2 * cpus)) threads on $cpus processor" 1
ranks 2 info --threads $((5 * cpus))
all_end_with 2 2
times err 'threads on each are the most' 1

# ---- a signal to one rank before the run listens is heard when it does, and stops all ----
printf '>%s\nMKTAYIAKQRQISFVKSHFSRQLEERLGLIEVQ\n' a b c d e f g h >p.fasta
term=1 ranks 3 train --model esm2_t6_8M --num-hidden-layers 1 --hidden-size 16 --num-attention-heads 2 --max-length 64 --batch-tokens 128 \
  --train p.fasta --max-steps 1M --output-dir stopped
all_end_with 75 3
times out 'Stopped early, nothing lost: SIGTERM' 1

# ---- mpirun binds one or two ranks to one core each ----
if [ "$make" = openmpi ] && [ "$cpus" -ge 2 ]; then
  flags='--bind-to core'
  ranks 1 info
  bound=$(sed -n 's/^  cpus  *//p' out)
  case $bound in
    *[-,]*) ;; # the core has two threads, or nothing was bound
    *) times err 'mpirun --bind-to none' 1 ;;
  esac
fi

exit $bad
