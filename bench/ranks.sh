#!/usr/bin/env bash
# What do ranks cost on one machine? 2 ranks of 1 thread against 1 rank of 2 threads, on the same batches, side by side.
#
# Usage: bench/ranks.sh [DATA.fasta]
#
# Beside them two processes that know nothing of each other, of 1 thread, on half the batch each: what two cores reach that never wait for
# each other. All are open at the same time and take turns, a step each (bench/steps.c). Medians over ROUNDS turns after one that doesn't
# count; the ratio is the median of each round's own. Wanted: 0.97. Appends to bench/results/ranks-<date>.md. Run it on an idle machine: it
# takes about 8 minutes, and 17 GB of memory.
#
# MODELS     presets, random weights     "esm2_t6_8M esm2_t30_150M"
# TOKENS     of the global batch         8192
# DTYPE                                  bf16
# ROUNDS                                 5
# BUILD      with bench_steps            build
# LAUNCHER   starts 2 ranks              mpirun.openmpi --bind-to none -n 2
# RANKS_OPTIONS  of train, for the ranks alone: --zero 1
# RESULTS    file                        bench/results/ranks-<date>.md
set -euo pipefail

here="$(cd "$(dirname "$0")" && pwd)"
# shellcheck source=bench/proteins.sh
. "$here/proteins.sh"
build="$(cd "${BUILD:-$here/../build}" && pwd)" rounds="${ROUNDS:-5}" tokens="${TOKENS:-8192}" dtype="${DTYPE:-bf16}"
read -r -a launcher <<<"${LAUNCHER:-mpirun.openmpi --bind-to none -n 2}"
read -r -a ranks_options <<<"${RANKS_OPTIONS:-}"
results="${RESULTS:-$here/results/ranks-$(date -u +%Y-%m-%d).md}"
work="$(mktemp -d)"
pids=()
stop() {
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  wait
  rm -rf "$work"
}
trap stop EXIT
data="$(proteins "${1:-}" "$work")"
export OMP_WAIT_POLICY=passive NO_COLOR=1 OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1

begin() { # name, threads, tokens, seed, launcher...: opens a program that waits for its turns
  local name=$1 threads=$2 tokens=$3 seed=$4 further=()
  shift 4
  [ "$name" != ranks ] || further=("${ranks_options[@]}")
  echo 0 >"$work/turns-$name"
  : >"$work/times-$name"
  timeout -k 3 3600 "$@" "$build/bench_steps" "$work/times-$name" "$work/turns-$name" on --model "$model" --train "$data" --dtype "$dtype" \
    --threads "$threads" --batch-tokens "$tokens" --max-length 512 --seed "$seed" --max-steps $((rounds + 1)) --logging-steps 1 --save-steps 1M \
    --cache-dir "$work/cache-$name" --output-dir "$work/run-$name" "${further[@]}" >"$work/words-$name" 2>&1 &
  pids+=($!)
}

# turn, lines that each name has when it is over, names...
take_turn() {
  local turn=$1 lines name pid
  shift
  for name in "$@"; do echo "$turn" >"$work/next" && mv "$work/next" "$work/turns-$name"; done
  for name in "$@"; do
    lines=$turn
    [ "$name" != ranks ] || lines=$((2 * turn))
    until [ "$(wc -l <"$work/times-$name")" -ge "$lines" ]; do
      for pid in "${pids[@]}"; do
        kill -0 "$pid" 2>/dev/null || [ "$turn" -gt "$rounds" ] || { tail -n 20 "$work"/words-* >&2; exit 1; }
      done
      sleep 0.05
    done
  done
}

median() { sort -g | awk '{ v[NR] = $1 } END { printf "%.4g", (v[int((NR + 1) / 2)] + v[int(NR / 2) + 1]) / 2 }'; }
# of a name: seconds of each round but the first (of ranks: of rank 0)
seconds() { awk '$1 == 0 && $2 > 1 { print $4 }' "$work/times-$1"; }
tokens_of() { awk -v rounds="$rounds" '/^tokens a step/ { print $4 }' "$work/words-$1"; }
# of a name: the median of user + system seconds a step, of all its ranks, and of what was not the thread that trains
processor() { awk '$2 > 1 { all[$2] += $7; other[$2] += $7 - $8 } END { for (s in all) print all[s], other[s] }' "$work/times-$1"; }

compare() { # writes a row
  local one two free_a free_b
  one=$(seconds one | median) two=$(seconds ranks | median)
  free_a=$(seconds free-a | median) free_b=$(seconds free-b | median)
  ratio=$(paste <(seconds one) <(seconds ranks) | awk '{ print $1 / $2 }' | median)
  # Seconds in which the two would have done the whole batch.
  local free
  free=$(awk -v n="$(tokens_of one)" -v a="$(tokens_of free-a)" -v b="$(tokens_of free-b)" -v x="$free_a" -v y="$free_b" \
    'BEGIN { printf "%.4g", n / (a / x + b / y) }')
  printf '| %s | %s | %s | %s | **%s** | %s | %s | %s / %s | %s |\n' "$model" "$one" "$two" "$free" "$ratio" \
    "$(awk -v a="$free" -v b="$two" 'BEGIN { printf "%.3f", a / b }')" \
    "$(sed -n 's/.*"imbalance":\([0-9.e+-]*\).*/\1/p' "$work/run-ranks/log.jsonl" | tail -n +2 | awk '{ printf "%s%.2f %%", (NR > 1 ? ", " : ""), 100 * $1 }')" \
    "$(processor one | awk '{ print $1 }' | median)" "$(processor ranks | awk '{ print $1 }' | median)" \
    "$(processor ranks | awk '{ print $2 }' | median)" >>"$work/table"
}

for model in ${MODELS:-esm2_t6_8M esm2_t30_150M}; do
  pids=()
  begin one 2 "$tokens" 42
  begin ranks 1 "$tokens" 42 "${launcher[@]}"
  begin free-a 1 $((tokens / 2)) 42
  begin free-b 1 $((tokens / 2)) 43
  for turn in $(seq $((rounds + 1))); do
    take_turn "$turn" one
    take_turn "$turn" ranks
    take_turn "$turn" free-a free-b
  done
  for pid in "${pids[@]}"; do wait "$pid" || { tail -n 20 "$work"/words-* >&2; exit 1; }; done
  pids=()
  compare
  rm -rf "$work"/run-* "$work"/cache-*
done

{
  [ -s "$results" ] || printf '# 2 ranks of 1 thread against 1 rank of 2 threads (bench/ranks.sh)\n\nSeconds a step, medians of steps taken in turn. Processor: user + system seconds a step, of all ranks; "beside": of what is not the thread\nthat trains (the communication thread, and the one that prepares batches).\n'
  printf '\n## %s, %s, %s cores, load %s\n\n' "$(date -u '+%Y-%m-%d %H:%M UTC')" "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)" "$(nproc)" \
    "$(cut -d ' ' -f 1 /proc/loadavg)"
  printf 'Commit %s. %s, %s tokens a batch, %s rounds, %s.\n\n' "$(git -C "$here" rev-parse --short HEAD)" "$dtype" "$tokens" "$rounds" "${launcher[*]}${RANKS_OPTIONS:+, $RANKS_OPTIONS}"
  printf '| model | 1 rank × 2 threads | 2 ranks × 1 thread | 2 processes, unconnected | 1 rank / 2 ranks | unconnected / 2 ranks | imbalance of each step | processor: 1 rank / 2 ranks | of it beside |\n'
  printf '|---|---:|---:|---:|---:|---:|---|---:|---:|\n'
  cat "$work/table"
} | tee -a "$results"
