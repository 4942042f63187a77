#!/usr/bin/env bash
# What scripts of `protlm slurm` decide, without a Slurm: srun, scontrol and squeue are played by files that stand first in PATH.
# usage: slurm_decisions.sh PROTLM [WORD]   (cases with WORD in their name)
# A case is a function of this file: it says what the launcher does, runs the script, and looks at what it did and said.
set -u
protlm=$(realpath "$1") only=${2:-}
here=$(mktemp -d) && trap 'rm -rf "$here"' EXIT
for name in $(compgen -e); do
  case $name in PROTLM_* | SLURM_*) unset "$name" ;; esac
done
export LANG=C.UTF-8 PATH="$here/bin:$PATH"
mkdir "$here/bin"

# ---- the players; what they were told stands in $room/calls ----

play() { # name; what it does on standard input
  { echo '#!/usr/bin/env bash'; echo "printf '%s\n' \"$1 \$*\" >>\"\$room/calls\""; cat; } >"$here/bin/$1"
  chmod +x "$here/bin/$1"
}
play srun <<'T'
. "$room/launcher"
T
play mpirun <<'T'
. "$room/launcher"
T
play scontrol <<'T'
[ ! -e "$room/scontrol_fails" ] || { echo "slurm_update error: Access/permission denied"; exit 1; }
T
play squeue <<'T'
cat "$room/left"
T
play sleep <<'T'
exec /bin/sleep "${quick:-0.05}"
T

# ---- words of the cases ----

# A room with a script in it. $1: more options of protlm slurm.
open_room() {
  room=$here/$name && export room
  mkdir -p "$room" && cd "$room" || exit 1
  echo 1:00:00 >left
  printf '>a\nMKTAYIAKQRQISFVKSH\n' >my.fasta
  # shellcheck disable=SC2086
  "$protlm" slurm --quiet --no-discover --cpu --nodes 2 --program protlm $1 -- \
    train --model esm2_t6_8M --train my.fasta --output-dir "${2:-run}" >job.sh || problem "protlm slurm failed"
  bash -n job.sh || problem "the script is no bash"
}
launcher() { cat >launcher; } # what srun does, as bash
run_dir=run
had_run() { mkdir -p "$run_dir" && : >"$run_dir/config.yaml"; }
checkpoint() { mkdir -p "$run_dir/checkpoint-$1"; }
stopped() { # code from to requeue: the launcher's line that writes `stopped`
  cat <<T
mkdir -p $run_dir; : >$run_dir/config.yaml
printf '{\n  "time": "%s",\n  "rank": 1,\n  "host": "n2",\n  "stage": "step",\n  "code": $1,\n  "words": "a, b: \\\\"c\\\\"",\n  "steps_at_start": $2,\n  "steps_done": $3,\n  "requeue": $4\n}\n' "\$(date +%s%N)" >$run_dir/stopped
T
}
submit() { # as Slurm would start it; $@: more of the environment
  env SLURM_JOB_ID=12 SLURM_JOB_NUM_NODES=2 SLURM_JOB_NODELIST='n[1-2]' SLURM_CPUS_ON_NODE=4 SLURM_RESTART_COUNT="${restart:-0}" "$@" \
    bash job.sh >>out 2>&1
  code=$?
}

problem() { problems+=("$1"); }
expect_code() { [ "$code" = "$1" ] || problem "exit code $code, not $1"; }
expect_requeue() { grep -qx "scontrol requeue $1" calls || problem "not requeued as $1"; }
expect_no_requeue() { ! grep -q '^scontrol' calls || problem "requeued"; }
says() { grep -qF -- "$1" out || problem "not said: $1"; }
called() { grep -qF -- "$1" calls || problem "not called: $1"; }
not_called() { ! grep -qF -- "$1" calls || problem "called: $1"; }

# ---- the cases ----

case_done() {
  open_room ''
  launcher <<<'mkdir -p run/final; exit 0'
  submit
  expect_code 0 && expect_no_requeue
  says 'the run is done'
  called 'srun --kill-on-bad-exit=1 -N 2 -n 2 --ntasks-per-node=1 -c 4 --mpi=pmix protlm train --model esm2_t6_8M --train my.fasta --output-dir run --time-limit 3600s'
}
case_stopped_with_progress() {
  open_room ''
  { stopped 75 100 140 true; echo exit 75; } | launcher
  submit
  expect_code 0 && expect_requeue 12
  says '[job 12 start 0 checkpoint none 20'
  says 'starting again: the run ended with code 75, reached step 140, had begun at 100: a, b: \"c\"'
  grep -q 'starting again' run/slurm.journal || problem "the run's directory has no journal"
}
case_stopped_without_progress() {
  open_room ''
  { stopped 75 140 140 true; echo exit 75; } | launcher
  submit
  expect_code 75 && expect_no_requeue
  says 'no progress, so no new start'
}
case_crash_with_progress() {
  open_room ''
  { stopped 1 100 140 true; echo exit 1; } | launcher
  submit
  expect_code 0 && expect_requeue 12
}
case_crash_that_comes_no_farther() {
  open_room ''
  { stopped 1 100 140 true; echo exit 1; } | launcher
  submit
  expect_requeue 12 && : >calls
  { stopped 1 100 139 true; echo exit 1; } | launcher
  restart=1 submit
  expect_code 1 && expect_no_requeue
  says 'an earlier start had come to step 140'
}
case_crash_that_comes_farther() {
  open_room ''
  { stopped 1 100 140 true; echo exit 1; } | launcher
  submit
  : >calls
  { stopped 1 100 141 true; echo exit 1; } | launcher
  restart=1 submit
  expect_code 0 && expect_requeue 12
}
case_crash_without_progress() {
  open_room ''
  { stopped 1 100 100 true; echo exit 1; } | launcher
  submit
  expect_code 1 && expect_no_requeue
}
case_not_worth_starting_again() { # bad input, a full disk
  open_room ''
  { stopped 6 100 140 false; echo exit 6; } | launcher
  submit
  expect_code 6 && expect_no_requeue
  says 'a new start would not help'
}
case_budget_is_spent() {
  open_room '--max-restarts 3'
  { stopped 75 100 140 true; echo exit 75; } | launcher
  restart=3 submit
  expect_code 75 && expect_no_requeue
  says 'it has been started again 3 times, and the budget (--max-restarts) is 3'
}
case_slurm_has_started_it_too_often() { # nodes that die as soon as the run is on them
  open_room '--max-restarts 3'
  launcher <<<'exit 0'
  restart=4 submit
  expect_code 75 && expect_no_requeue
  not_called 'srun'
  says 'the budget (--max-restarts) is 3'
}
case_launcher_says_0_but_the_run_stopped() { # mpiexec.mpich after a signal
  open_room '--launcher mpirun'
  { stopped 75 100 140 true; echo exit 0; } | launcher
  submit
  expect_code 0 && expect_requeue 12
  called 'mpirun --bind-to none -np 2 protlm train'
}
case_launcher_says_0_but_nothing_ran() { # srun where the step could not begin
  open_room ''
  launcher <<<'exit 0'
  submit
  expect_code 1 && expect_no_requeue
  says 'launching once more'
  says 'the run has not come to its end'
  [ "$(grep -c '^srun' calls)" = 2 ] || problem "not launched twice"
}
case_second_launch_runs() {
  open_room ''
  launcher <<<'if [ -e once ]; then mkdir -p run/final; fi; : >once; exit 0'
  submit
  expect_code 0 && expect_no_requeue
  says 'the run is done'
}
case_killed_before_any_rank_began() {
  open_room ''
  checkpoint 100
  launcher <<<'if [ -e once ]; then mkdir -p run/final; exit 0; fi; : >once; kill -9 $$'
  submit
  expect_code 0 && expect_no_requeue
  says 'launching once more'
  [ "$(grep -c '^srun' calls)" = 2 ] || problem "not launched twice"
}
case_killed_without_a_word_but_with_a_checkpoint() {
  open_room ''
  checkpoint 100
  launcher <<<'mkdir run/checkpoint-200; kill -9 $$'
  submit
  expect_code 0 && expect_requeue 12
  says 'checkpoint-200 is new'
}
case_killed_without_a_word_or_a_checkpoint() {
  open_room ''
  checkpoint 100
  launcher <<<'sleep 0.05; : >run/log.jsonl; kill -9 $$'
  submit
  expect_code 137 && expect_no_requeue
  says 'no new checkpoint since this start'
  [ "$(grep -c '^srun' calls)" = 1 ] || problem "launched twice"
}
case_usage_error_without_a_word() {
  open_room ''
  checkpoint 100
  launcher <<<'mkdir run/checkpoint-200; exit 2'
  submit
  expect_code 2 && expect_no_requeue
}
case_stopped_of_an_earlier_start_does_not_count() {
  open_room ''
  had_run
  stopped 75 100 140 true | bash
  launcher <<<'exit 1' # before train could begin
  submit
  expect_code 1 && expect_no_requeue
  says 'no word from the run itself'
}
case_array() {
  open_room '--array 0-4%2' 'runs/%a'
  run_dir=runs/3
  { stopped 75 100 140 true; echo exit 75; } | launcher
  submit SLURM_ARRAY_JOB_ID=12 SLURM_ARRAY_TASK_ID=3
  expect_code 0 && expect_requeue 12_3
  called 'squeue -h -j 12_3 -o %L'
  called '--output-dir runs/3'
}
case_requeue_fails() {
  open_room ''
  : >scontrol_fails
  { stopped 75 100 140 true; echo exit 75; } | launcher
  submit
  expect_code 75
  says 'scontrol requeue 12: slurm_update error: Access/permission denied (try 3 of 3)'
  says 'submit it again, and the run goes on where it was'
}
case_no_requeue_file() {
  open_room ''
  had_run && : >run/no-requeue
  { stopped 75 100 140 true; echo exit 75; } | launcher
  submit
  expect_code 75 && expect_no_requeue
}
case_no_time_limit() {
  open_room ''
  echo UNLIMITED >left
  launcher <<<'exit 0'
  submit
  not_called '--time-limit'
}
case_days_left() {
  open_room ''
  echo 1-02:03:04 >left
  launcher <<<'exit 0'
  submit
  called '--time-limit 93784s'
}
until_signalled='until [ -e signalled ]; do /bin/sleep 0.05; done; /bin/sleep 0.3' # of a launcher, after `echo $$ >ready`

case_usr1_reaches_the_run_once() { # and the script waits until the run has ended
  open_room ''
  { echo "n=0; trap 'n=\$((n + 1))' USR1; echo \$\$ >ready"; echo 'until [ $n -gt 0 ]; do /bin/sleep 0.05; done; /bin/sleep 0.3; echo "got $n" >>calls'
    stopped 75 100 140 true; echo exit 75; } | launcher
  signal_when_ready USR1 &
  submit
  wait
  expect_code 0 && expect_requeue 12
  called 'got 1'
}
case_two_usr1() {
  open_room ''
  { echo "trap ':' USR1; echo \$\$ >ready; $until_signalled"; stopped 75 100 140 true; echo exit 75; } | launcher
  { signal_when_ready USR1 USR1; } &
  submit
  wait
  expect_code 0 && expect_requeue 12
}
case_term_is_not_ours_to_undo() { # scancel: the ranks save, and nobody starts again
  open_room ''
  { echo "echo \$\$ >ready; $until_signalled"; stopped 75 100 140 true; echo exit 75; } | launcher
  signal_when_ready TERM &
  submit
  wait
  expect_code 75 && expect_no_requeue
  says 'it was Slurm that ended this job'
}
case_term_at_the_time_limit() {
  open_room ''
  echo 0:05 >left
  { echo "echo \$\$ >ready; $until_signalled"; stopped 75 100 140 true; echo exit 75; } | launcher
  signal_when_ready TERM &
  submit
  wait
  expect_code 0 && expect_requeue 12
}
case_usr1_before_the_launcher() {
  open_room ''
  launcher <<<'exit 0'
  sed -i 's/^output_dir=/kill -USR1 $$\n&/' job.sh # where modules would be loaded
  submit
  expect_code 75 && expect_no_requeue
  not_called 'srun'
  says 'a signal came before the launcher was started'
}
case_by_hand() { # outside of Slurm
  open_room ''
  launcher <<<'exit 0'
  bash job.sh >out 2>&1
  code=$?
  expect_code 2
  says 'Try: sbatch job.sh'
  [ ! -e calls ] || problem "something was called"
}

# The launcher is a child of the script.
signal_when_ready() { # signals, one after the other
  until [ -s ready ]; do /bin/sleep 0.02; done
  ps -o ppid= -p "$(cat ready)" | tr -d ' ' >pid
  for signal in "$@"; do
    kill -"$signal" "$(cat pid)"
    /bin/sleep 0.3
  done
  : >signalled
}

failed=0 count=0
for function in $(declare -F | sed -n 's/^declare -f \(case_.*\)/\1/p'); do
  [[ $function == *"$only"* ]] || continue
  name=$function problems=() run_dir=run
  count=$((count + 1))
  $function
  [ ${#problems[@]} -gt 0 ] || continue
  failed=1
  printf '%s: %s\n' "$function" "${problems[@]}"
  sed 's/^/    /' "$room/out" "$room/calls" 2>/dev/null
done
echo "$count cases"
[ "$count" -gt 20 ] || [ -n "$only" ] || failed=1
exit $failed
