#!/bin/bash --login
# protlm train on 4 x 8 ranks, a batch script for Slurm, made by protlm 0.1.0:
#
#   protlm slurm --no-discover --preset lumi --account project_462000000 --nodes 4 --time 48h --program protlm -- train \
#      --model facebook/esm2_t33_650M_UR50D --train proteins.fasta --eval-fraction 0.01 --output-dir runs/lumi
#
# Submit it from the directory from which its paths lead:  sbatch FILE
# It saves and stops ahead of its time limit and starts itself again until the run is done; its output says why.
#   save and stop now, start again:    scancel --batch --signal=USR1 JOB
#   save and stop now, for good:       touch DIR/no-requeue first (DIR: --output-dir); remove it to go on
#   end at once:                       scancel JOB
# LUMI: lines from LUMI's published documentation (its page of example batch scripts for LUMI-G), as recorded in
# protlm's notes in November 2026. Not run on LUMI: `module avail LUMI` shows what it has today.
# Not told, so assumed:
#   a rank a GPU

#SBATCH --job-name=lumi
#SBATCH --account=project_462000000
#SBATCH --partition=standard-g
#SBATCH --nodes=4
#SBATCH --exclusive
#SBATCH --gpus-per-node=8
#SBATCH --time=2-00:00:00
#SBATCH --output=%x-%j.out
#SBATCH --open-mode=append
#SBATCH --requeue
#SBATCH --signal=B:USR1@300

if [ -z "${SLURM_JOB_ID:-}" ]; then
  echo "$0 is a batch script of Slurm, and this is no job of Slurm's. Try: sbatch $0" >&2
  exit 2
fi
asked=0; trap 'asked=1' USR1 # "save and stop", which may come before there is anything to stop

module load LUMI || exit 1
module load partition/G || exit 1
module load rocm || exit 1

# The network between GPUs (Slingshot); what you have set yourself stays as it is.
export NCCL_NET="${NCCL_NET-AWS Libfabric}"
export NCCL_SOCKET_IFNAME="${NCCL_SOCKET_IFNAME-hsn}"
export FI_CXI_DISABLE_HOST_REGISTER="${FI_CXI_DISABLE_HOST_REGISTER-1}"
export FI_MR_CACHE_MONITOR="${FI_MR_CACHE_MONITOR-userfaultfd}"
export FI_CXI_DEFAULT_CQ_SIZE="${FI_CXI_DEFAULT_CQ_SIZE-131072}"
export FI_CXI_RDZV_PROTO="${FI_CXI_RDZV_PROTO-alt_read}"
export FI_CXI_RDZV_THRESHOLD="${FI_CXI_RDZV_THRESHOLD-0}"
export FI_CXI_RDZV_GET_MIN="${FI_CXI_RDZV_GET_MIN-0}"
export FI_CXI_RDZV_EAGER_SIZE="${FI_CXI_RDZV_EAGER_SIZE-0}"

output_dir=runs/lumi
max_restarts=50 # starts after the first; never one without progress
pass_time_limit=yes # yes: tell the run what is left of the job's time
ranks_per_node=8
nodes=${SLURM_JOB_NUM_NODES:-4}
ranks=$((nodes * ranks_per_node))
cpus_per_task=7

# srun passes neither -c nor anything else on by itself, so all of it stands here. One rank that dies ends all; the
# variable says the same where you take the option out, and to the ranks, which cannot see the option.
export SLURM_KILL_BAD_EXIT=1
launcher=(srun --kill-on-bad-exit=1 -N "$nodes" -n "$ranks" --ntasks-per-node="$ranks_per_node" -c "$cpus_per_task" --gpus-per-node=8
  "--cpu-bind=mask_cpu:fe000000000000,fe00000000000000,fe0000,fe000000,fe,fe00,fe00000000,fe0000000000")

command=(protlm train
  --model facebook/esm2_t33_650M_UR50D
  --train proteins.fasta
  --eval-fraction 0.01
  --output-dir runs/lumi)

# ---- nothing below needs to be edited ----

# What scontrol is told: in an array SLURM_JOB_ID alone can mean all of its tasks.
id=$SLURM_JOB_ID
[ -z "${SLURM_ARRAY_JOB_ID:-}" ] || id=${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID
start=${SLURM_RESTART_COUNT:-0} # how often Slurm has started this job again
stopped=$output_dir/stopped     # where a run that ended early says why
journal=$output_dir/slurm.journal
launched=$output_dir/.launched-$id # when
export SLURM_EXPORT_ENV=ALL     # what is exported above reaches the ranks, also where jobs are submitted with --export=NONE

# The highest step that has a checkpoint; -1: none has.
newest_checkpoint() {
  local path step newest=-1
  for path in "$output_dir"/checkpoint-*; do
    step=${path##*-}
    [[ $step =~ ^[0-9]+$ ]] || continue
    ((10#$step > newest)) && newest=$((10#$step))
  done
  echo "$newest"
}

# A line of the job's journal: in its output, and in the directory of the run as soon as that is one.
note() {
  local step line
  step=$(newest_checkpoint)
  line="[job $id start $start checkpoint ${step/#-1/none} $(date -u +%Y-%m-%dT%H:%M:%SZ)] $*"
  printf '%s\n' "$line"
  if [ -f "$output_dir/config.yaml" ]; then printf '%s\n' "$line" >>"$journal"; fi
}

# A number or true|false of `stopped`, by name.
member() { sed -n 's/^ *"'"$1"'": *\([^,]*\),*$/\1/p' "$stopped"; }
words_of_stopped() { sed -n 's/^ *"words": *"\(.*\)",*$/\1/p' "$stopped"; }

# ---- the clock ----

# "1-02:03:04", "02:03:04", "03:04" in seconds. Nothing for UNLIMITED, INVALID and other words.
seconds_of() {
  local text=$1 days=0 total=0 field
  [[ $text =~ ^([0-9]+-)?[0-9]+(:[0-9]+)+$ ]] || return 0
  if [[ $text == *-* ]]; then days=${text%%-*}; fi
  for field in $(tr : ' ' <<<"${text#*-}"); do total=$((60 * total + 10#$field)); done
  echo $((86400 * 10#$days + total))
}

# What is left of the job's time is asked at each start: a requeued job has all of it again.
left=$(seconds_of "$(timeout 20 squeue -h -j "$id" -o %L 2>/dev/null | tr -d ' ')")
ends_at=
if [ -n "$left" ] && [ "$left" -gt 0 ]; then
  ends_at=$(($(date +%s) + left))
  if [ "$pass_time_limit" = yes ]; then command+=(--time-limit "${left}s"); fi
fi

# ---- signals ----

pid='' asked=${asked:-0} killed=no waits_on=no

# Slurm sends USR1 to this script alone (--signal=B:USR1), ahead of the time limit. The launcher passes it on: each rank gets it once,
# finishes its step, saves, and ends with 75. A launcher that was started a moment ago might not listen yet.
on_usr1() {
  asked=$((asked + 1)) waits_on=yes
  if [ -z "$pid" ]; then return; fi
  if ((SECONDS - launched_at < 2)); then sleep 2; fi
  if kill -USR1 "$pid" 2>/dev/null; then note "USR1: asked the run to save and stop"; fi
}

# scancel, the time limit, a preemption, a node that went down. Slurm sends TERM to the ranks itself; what is left to do is to wait for them.
# shellcheck disable=SC2317 # called by the trap
on_term() {
  killed=yes waits_on=yes
  note "TERM from Slurm: waiting for the ranks, which have until KILL to save"
}
trap on_usr1 USR1
trap on_term TERM

# ---- the run ----

run() {
  local again
  launched_at=$SECONDS
  (: >"$launched") 2>/dev/null || : # in a directory that the run has not made yet there is no need of it
  "${launcher[@]}" "${command[@]}" &
  pid=$!
  if [ "$asked" -gt 0 ]; then on_usr1; fi # it came between the last two lines
  while :; do
    waits_on=no
    wait "$pid"
    again=$?
    if [ $again != 127 ] || [ -z "$code" ]; then code=$again; fi
    if [ $waits_on = no ]; then return; fi # else the wait was cut short by a signal, which has been seen to
  done
}

# Did this start write `stopped`? Through a shared file system it may be seen late; but KILL does not wait. A file made in the directory
# has an NFS client look at it anew.
find_stopped() {
  local try=0 tries=10 look=$output_dir/.look-$id
  case $code in 2 | 3 | 4 | 5 | 6 | 70 | 126 | 127) tries=3 ;; esac # known by the code alone
  while :; do
    if (: >"$look") 2>/dev/null; then rm -f "$look"; fi
    ls "$output_dir" >/dev/null 2>&1
    if [ -s "$stopped" ] && [ "$(cat "$stopped")" != "$stopped_before" ]; then return 0; fi
    if [ "$code" = 0 ]; then return 1; fi
    try=$((try + 1))
    if [ $try -ge $tries ] || { [ $killed = yes ] && [ $try -ge 2 ]; }; then return 1; fi
    sleep 2
  done
}

# A launcher's 0 alone is no proof: see is_to_launch_once_more.
is_done() {
  local try
  for try in 1 2 3; do
    ls "$output_dir" >/dev/null 2>&1
    if [ -e "$output_dir/final" ]; then return 0; fi
    if [ "$try" != 3 ]; then sleep 1; fi
  done
  return 1
}

# Nothing in the directory is newer than the launch: no rank has come so far as to look at it.
has_begun() {
  [ -d "$output_dir" ] || return 1
  [ -e "$launched" ] || return 0
  [ -n "$(find "$output_dir" -mindepth 1 -maxdepth 1 -newer "$launched" 2>/dev/null | head -n 1)" ]
}

# A step that could not begin, as on a node that is back from a power cut and still has the socket of the same step of this job (Slurm 22.05,
# pmix), ends with 0, or with 137 where another node had begun.
is_to_launch_once_more() {
  if [ "$asked" != 0 ] || [ $killed = yes ]; then return 1; fi
  case $code in
    0) ! find_stopped && ! is_done ;;
    1 | 1[2-9][0-9]) [ "$code" != 126 ] && [ "$code" != 127 ] && ! has_begun ;;
    *) return 1 ;;
  esac
}

# The farthest step that an earlier start of this job had reached.
farthest() {
  local step
  step=$(sed -n "s/^\[job $id .* reached step \([0-9]*\)[ ,.:].*/\1/p" "$journal" 2>/dev/null | sort -n | tail -n 1)
  echo "${step:--1}"
}

# ---- what now? ----

# Sets code, verdict (again, end) and why. `stopped` comes first: launchers change exit codes (mpiexec.mpich returns 0 after a signal that it
# passed on). Without progress a new start would end as this one did, so it is never made.
decide() {
  verdict=end
  if find_stopped; then decide_by_stopped; else decide_by_code; fi
  if [ $verdict = end ]; then return; fi
  if [ $killed = yes ] && ! is_time_up; then
    verdict=end why="$why; but it was Slurm that ended this job (scancel, preemption, a node down): if it is to start again, Slurm does that"
  elif [ -e "$output_dir/no-requeue" ]; then
    verdict=end why="$why; but the file $output_dir/no-requeue asks for an end"
  elif [ "$start" -ge "$max_restarts" ]; then
    verdict=end why="$why; but it has been started again $start times, and the budget (--max-restarts) is $max_restarts"
  fi
}

is_time_up() { [ -n "$ends_at" ] && [ "$(date +%s)" -ge $((ends_at - 10)) ]; }

decide_by_stopped() {
  local from to before
  code=$(member code) from=$(member steps_at_start) to=$(member steps_done)
  code=${code:-1} from=${from:-0} to=${to:-0}
  why="the run ended with code $code, reached step $to, had begun at $from: $(words_of_stopped)"
  if [ "$(member requeue)" != true ]; then
    why="$why; a new start would not help"
  elif [ "$to" -le "$from" ]; then
    why="$why; no progress, so no new start"
  elif [ "$code" != 75 ] && before=$(farthest) && [ "$to" -le "$before" ]; then
    why="$why; an earlier start had come to step $before, so this is no progress, and no new start is made"
  else
    verdict=again
  fi
}

decide_by_code() {
  local now
  if [ "$code" = 0 ] && is_done; then why="the run is done"; return; fi
  now=$(newest_checkpoint)
  case $code in
    2 | 3 | 4 | 5 | 6 | 70 | 126 | 127) why="exit code $code: a new start would end in the same way" ;;
    *)
      why="exit code $code and no word from the run itself (killed, or a node lost)"
      if [ "$code" = 0 ]; then code=1 why="the launcher said 0, but there is no $output_dir/final: the run has not come to its end"; fi
      if [ "$now" -gt "$checkpoint_before" ]; then
        verdict=again why="$why; checkpoint-$now is new"
      else
        why="$why; no new checkpoint since this start, so no progress and no new start"
      fi ;;
  esac
}

requeue() {
  local try answer
  for try in 1 2 3; do
    if answer=$(timeout 60 scontrol requeue "$id" 2>&1); then return 0; fi
    note "scontrol requeue $id: ${answer:-no answer} (try $try of 3)"
    if [ "$try" != 3 ]; then sleep 5; fi
  done
  return 1
}

finish() {
  trap '' USR1 # too late to matter
  decide
  if [ $verdict = again ]; then
    note "starting again: $why"
    trap '' TERM # with which Slurm ends this start
    if requeue; then exit 0; fi
    why="the job could not be requeued: submit it again, and the run goes on where it was"
  fi
  note "end, exit code $code: $why"
  exit "$code"
}

stopped_before=$(cat "$stopped" 2>/dev/null)
checkpoint_before=$(newest_checkpoint)
code=''
note "start on ${SLURM_JOB_NUM_NODES:-1} nodes (${SLURM_JOB_NODELIST:-}), $ranks ranks${left:+, $left s left}"
if [ "$start" -gt "$max_restarts" ]; then # Slurm itself starts jobs again, after a lost node
  note "end, exit code 75: this would be start $start, and the budget (--max-restarts) is $max_restarts; submit it again to go on"
  exit 75
fi
if [ "$asked" = 0 ] && [ $killed = no ]; then
  run
  if is_to_launch_once_more; then
    note "the launcher said $code, but no rank has begun or come to an end: launching once more"
    run
  fi
else
  code=75
  note "a signal came before the launcher was started"
fi
rm -f "$launched"
finish
