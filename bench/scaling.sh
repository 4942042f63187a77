#!/usr/bin/env bash
# Is a step of 1, 2 and 4 ranks as long as `protlm bench scaling` says? docs/SCALING.md is built on that.
#
# Usage: bench/scaling.sh PROTLM DATA.fasta
#
# For each number of ranks, ROUNDS times in turn: the prediction (compute and links measured by that many ranks at once, without train), then
# train on the same batches. Medians. 4 ranks are two to a core on two cores. Appends to bench/results/scaling.md. Run it on an idle machine.
#
# MODEL      preset, random weights    esm2_t6_8M
# RANKS      numbers of ranks          "1 2 4"
# ROUNDS                               5
# STEPS      measured, after one       6
# TOKENS     of the global batch       16K
# LAUNCHER   starts N ranks            mpirun --oversubscribe --bind-to none -n
set -euo pipefail

here="$(cd "$(dirname "$0")" && pwd)"
protlm="${1:?usage: bench/scaling.sh PROTLM DATA.fasta}" data="${2:?usage: bench/scaling.sh PROTLM DATA.fasta}"
model="${MODEL:-esm2_t6_8M}" rounds="${ROUNDS:-5}" steps="${STEPS:-6}" tokens="${TOKENS:-16K}"
read -r -a launcher <<<"${LAUNCHER:-mpirun --oversubscribe --bind-to none -n}"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
export OMP_WAIT_POLICY=passive NO_COLOR=1
shared=(--model "$model" --batch-tokens "$tokens" --micro-batch-tokens 4096 --max-length 1024 --dtype fp32 --threads 1 --cache-dir "$work/cache")

# N COMMAND...: by N ranks
by() {
  local ranks=$1
  shift
  if [ "$ranks" = 1 ]; then "$@"; else timeout -k 3 3600 "${launcher[@]}" "$ranks" "$@"; fi
}

predict() { # ranks: the column "step ms"
  by "$1" "$protlm" bench scaling "${shared[@]}" --data "$data" --steps "$steps" 2>"$work/words" >"$work/table" || { cat "$work/words" >&2; exit 1; }
  tr -d '\r' <"$work/table" | tail -n 1 | tee -a "$work/rows-$1" | awk -F '|' '{ print $11 + 0 }'
}

measure() { # ranks: the mean step in ms, the first left out, as the prediction has it
  rm -rf "$work/run"
  by "$1" "$protlm" train "${shared[@]}" --train "$data" --max-steps $((steps + 1)) --logging-steps 1 --save-steps 1M --output-dir "$work/run" \
    >"$work/words" 2>&1 || { cat "$work/words" >&2; exit 1; }
  sed -n 's/.*"seconds":\([0-9.e+-]*\).*/\1/p' "$work/run/log.jsonl" | awk 'NR == 1 { first = $1 } { last = $1 } END { print 1e3 * (last - first) / (NR - 1) }'
}

median() { sort -g "$1" | awk '{ v[NR] = $1 } END { print (v[int((NR + 1) / 2)] + v[int(NR / 2) + 1]) / 2 }'; }

for _ in $(seq "$rounds"); do
  for ranks in ${RANKS:-1 2 4}; do
    predict "$ranks" >>"$work/predicted-$ranks"
    measure "$ranks" >>"$work/measured-$ranks"
  done
done

{
  printf '\n## %s, %s, %s cores, load %s\n\n' "$(date -u +%Y-%m-%d)" "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)" "$(nproc)" \
    "$(cut -d ' ' -f 1 /proc/loadavg)"
  printf 'Commit %s. %s, fp32, 1 thread a rank, %s tokens a batch, %s rounds of %s steps; medians of the mean step, ms.\n\n' \
    "$(git -C "$here" rev-parse --short HEAD)" "$model" "$tokens" "$rounds" "$steps"
  printf '| ranks | predicted | measured | measured / predicted | predicted, all rounds | measured, all rounds |\n|---:|---:|---:|---:|---|---|\n'
  for ranks in ${RANKS:-1 2 4}; do
    a=$(median "$work/predicted-$ranks") b=$(median "$work/measured-$ranks")
    printf '| %s | %s | %s | %s | %s | %s |\n' "$ranks" "$a" "$b" "$(awk -v a="$a" -v b="$b" 'BEGIN { printf "%.3f", b / a }')" \
      "$(paste -s -d ' ' "$work/predicted-$ranks")" "$(paste -s -d ' ' "$work/measured-$ranks")"
  done
  printf '\nWhat the predictions are made of:\n\n'
  sed -n '/^| ranks/,/^|---/p' "$work/table" | tr -d '\r'
  for ranks in ${RANKS:-1 2 4}; do cat "$work/rows-$ranks"; done
} | tee -a "$here/results/scaling.md"
