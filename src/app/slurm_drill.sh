# ---- a drill: does this cluster survive what clusters do? ----
# A short run on made-up proteins is disturbed in six ways, each a job of its own, and held against the same run left alone. A user cannot take
# a node down, so a lost node is KILL to every rank of it by a second step. Ends with 0 only if all passed; what it made stays to be looked at.
drill=$PWD/drill-$(date -u +%Y%m%dT%H%M%SZ)
mkdir "$drill" && cd "$drill" || exit 1
awk 'BEGIN {
  srand(11)
  for (i = 0; i < 200; i++) {
    sequence = ""
    for (n = 50 + int(rand() * 200); n > 0; n--) sequence = sequence substr("ACDEFGHIKLMNPQRSTVWY", 1 + int(rand() * 20), 1)
    printf ">made_up_%d\n%s\n", i, sequence
  }
}' >proteins.fasta
declare -A job
trap 'scancel "${job[@]}" 2>/dev/null' EXIT

# NAME
submit() {
  local name=$1
  "${slurm[@]}" --job-name "$name" -- train --model esm2_t6_8M --num-hidden-layers 2 --hidden-size 32 --num-attention-heads 4 \
    --train proteins.fasta --max-length 256 --batch-tokens 4K --learning-rate 2e-3 --dtype fp32 --logging-steps 1 --max-steps 600 \
    --save-steps "${save_steps:-20}" --output-dir "$drill/$name" >"$name.sbatch" 2>"$name.err" || { cat "$name.err"; exit 1; }
  job[$name]=$(sbatch --parsable "$name.sbatch") || exit 1
  job[$name]=${job[$name]%%;*}
}
has() { [ -f "$drill/$1/log.jsonl" ] && [ "$(grep -c '"loss"' "$drill/$1/log.jsonl")" -ge "$2" ]; } # NAME STEPS
is_over() { grep -qs '\] end, exit code' "$1"-*.out; }
wait_for() { # COMMAND...
  until "$@"; do
    [ $SECONDS -lt "${limit:-1800}" ] || return 1
    sleep .2
  done
}

# Every rank of the job on NODE, or one of them: those whose command line has the run's directory.
# shellcheck disable=SC2016 # expanded on the node
on_node='for p in $(pgrep -x protlm); do if tr "\0" " " </proc/$p/cmdline | grep -qF -- "$0 "; then kill -KILL $p; if [ $1 = one ]; then exit; fi; fi; done'
kill_ranks() { # NAME NODE one|all
  srun --jobid="${job[$1]}" --overlap -N 1 -n 1 -w "$2" --mpi=none bash -c "$on_node" "$drill/$1" "$3" >>"$1.err" 2>&1
}
nodes_of() { # NAME: batch, other
  batch=$(scontrol -o show job "${job[$1]}" | tr ' ' '\n' | sed -n 's/^BatchHost=//p')
  other=$(scontrol show hostnames "$(scontrol -o show job "${job[$1]}" | tr ' ' '\n' | sed -n 's/^NodeList=//p')" | grep -vxF "$batch" | head -n 1)
  other=${other:-$batch}
}

disturb() { # NAME
  wait_for has "$1" 45 || return
  nodes_of "$1"
  case $1 in
    rank-killed | crash-loop) kill_ranks "$1" "$other" one ;;
    node-lost) kill_ranks "$1" "$other" all ;;
    batch-node-lost) kill_ranks "$1" "$batch" all ;;
    graceful-stop) scancel --batch --signal=USR1 "${job[$1]}" ;;
  esac
}

# ---- the verdict ----

failed=0
judge() { # NAME STARTS CODE same|other WHAT
  local starts code bytes=other problems=''
  starts=$(cat "$1"-*.out 2>/dev/null | grep -c '\] start on ')
  code=$(sed -n 's/.*\] end, exit code \([0-9]*\):.*/\1/p' "$1"-*.out 2>/dev/null | tail -n 1)
  if cmp -s "$1/final/model.safetensors" left-alone/final/model.safetensors; then bytes=same; fi
  [ "$starts" = "$2" ] || problems+=" $starts starts, not $2;"
  case $3 in
    failure) [ "${code:-0}" != 0 ] || problems+=" exit code ${code:-none}, not a failure;" ;;
    *) [ "${code:-none}" = "$3" ] || problems+=" exit code ${code:-none}, not $3;" ;;
  esac
  [ "$bytes" = "$4" ] || problems+=" model: $bytes as of the run left alone;"
  if [ -n "$problems" ]; then failed=$((failed + 1)); fi
  printf '%-16s %-7s %s%s\n' "$1" "$([ -n "$problems" ] && echo FAILED || echo passed)" "$5" "${problems:+:$problems see $drill/$1-*.out}"
}

submit left-alone
for name in rank-killed node-lost batch-node-lost graceful-stop; do submit "$name"; done
save_steps=100000 submit crash-loop
PROTLM_DRILL_FULL_DISK=/tmp-60- submit full-disk # the file layer's own fault
for name in rank-killed node-lost batch-node-lost graceful-stop crash-loop; do disturb "$name" & done
for name in "${!job[@]}"; do wait_for is_over "$name" || echo "$name: not over after ${limit:-1800} s"; done
wait
judge left-alone 1 0 same "nobody disturbs it"
judge rank-killed 2 0 same "one rank is killed; it starts again"
judge node-lost 2 0 same "all ranks of a node are killed; it starts again"
judge batch-node-lost 2 0 same "all ranks of the node with the script are killed; it starts again"
judge graceful-stop 2 0 same "it is told to save and stop; it starts again where it was"
judge crash-loop 1 failure other "a rank is killed before any checkpoint: no progress, so no new start"
judge full-disk 1 6 other "there is no room for a checkpoint: a new start would not help"
echo "$((7 - failed)) of 7 passed"
[ $failed = 0 ]
