#!/usr/bin/env bash
# Two builds of protlm side by side: has a change of the code cost time?
#
# Usage: bench/two_programs.sh OLD NEW DATA.fasta EVAL.fasta
#
# Processes alternate, ROUNDS times. At one thread the least user + system time counts, at two the best rate; medians are
# shown beside them. Appends to bench/results/two_programs.md. Run it on an otherwise idle machine.
#
# MODEL   preset, random weights   esm2_t6_8M
# ROUNDS                           10
# STEPS   of 4,096 tokens          10
set -euo pipefail

here="$(cd "$(dirname "$0")" && pwd)"
old="${1:?usage: bench/two_programs.sh OLD NEW DATA.fasta EVAL.fasta}" new="$2" data="$3" evaluation="$4"
model="${MODEL:-esm2_t6_8M}" rounds="${ROUNDS:-10}" steps="${STEPS:-10}"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
TIMEFORMAT='%3R %3U %3S'

# command and name of the case: a line "real user system" in <case>-<which>
timed() {
  local name=$1
  shift
  { time "$@" >"$work/output" 2>&1; } 2>>"$work/$name" || { cat "$work/output" >&2; exit 1; }
}

train() { # which program threads dtype
  rm -rf "$work/run"
  timed "train-$4-t$3-$1" "$2" train --model "$model" --train "$data" --threads "$3" --dtype "$4" --max-length 512 \
    --batch-tokens 4096 --max-steps "$steps" --logging-steps 1 --save-steps 1000 --cache-dir "$work/cache" --output-dir "$work/run"
  # the best rate of a step, the first two left out
  sed -n 's/.*"residues_per_s":\([0-9.e+]*\).*/\1/p' "$work/run/log.jsonl" | tail -n +3 | sort -g | tail -n 1 >>"$work/rate-$4-t$3-$1"
}

evaluate() { # which program threads
  timed "eval-t$3-$1" "$2" eval --model "$work/model/final" --data "$evaluation" --threads "$3" --cache-dir "$work/cache"
}

"$new" train --model "$model" --train "$data" --max-length 512 --batch-tokens 2048 --max-steps 1 --cache-dir "$work/cache" \
  --output-dir "$work/model" >/dev/null 2>&1
for _ in $(seq "$rounds"); do
  for which in old new; do
    program="${!which}"
    train $which "$program" 1 bf16
    train $which "$program" 2 bf16
    train $which "$program" 2 fp32
    evaluate $which "$program" 1
    for word in --version "__complete train --mo"; do
      # shellcheck disable=SC2086
      [ $which = old ] && [ "$word" != --version ] || timed "start-${word%% *}-$which" "$program" $word
    done
  done
done

least() { awk '{ print $2 + $3 }' "$1" | sort -g | sed -n 1p; }
median() { awk '{ print $2 + $3 }' "$1" | sort -g | awk '{ v[NR] = $1 } END { print (v[int((NR + 1) / 2)] + v[int(NR / 2) + 1]) / 2 }'; }
best() { sort -g "$1" | tail -n 1; }
ratio() { awk -v a="$2" -v b="$1" 'BEGIN { printf "%.3f", a / b }'; }

{
  printf '\n## %s, %s\n\n' "$(date -u +%Y-%m-%d)" "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), $(nproc) cores"
  printf 'Commit %s. %s, %s rounds, %s steps of 4,096 tokens. Old against new.\n\n' \
    "$(git -C "$here" rev-parse --short HEAD)" "$model" "$rounds" "$steps"
  printf '| what | old | new | new / old |\n|---|---|---|---|\n'
  for name in train-bf16-t1 eval-t1; do
    a=$(least "$work/$name-old") b=$(least "$work/$name-new")
    printf '| %s, least user + system seconds (medians %s, %s) | %s | %s | %s |\n' "$name" "$(median "$work/$name-old")" \
      "$(median "$work/$name-new")" "$a" "$b" "$(ratio "$a" "$b")"
  done
  for name in rate-bf16-t2 rate-fp32-t2; do
    a=$(best "$work/$name-old") b=$(best "$work/$name-new")
    printf '| %s, best residues/s of a step | %s | %s | %s |\n' "$name" "$a" "$b" "$(ratio "$a" "$b")"
  done
  printf '| --version, __complete: least seconds | %s | %s, %s | |\n' "$(least "$work/start---version-old")" \
    "$(least "$work/start---version-new")" "$(least "$work/start-__complete-new")"
} | tee -a "$here/results/two_programs.md"
