#!/usr/bin/env bash
# What does it save that buckets travel while backward goes on? Two ranks on two hosts, whose link carries 2 Gbit/s (bench/paced_link.sh).
#
# Usage: bench/overlap.sh [DATA.fasta]
#
# One run, in which every other step sends its buckets when backward is over (bench/steps.c). Wanted: with overlap a step is shorter by at
# least half of the communication's own time, and what it is shorter by is, within 20 %, what comm_exposed says of the two kinds of step.
# Medians over ROUNDS pairs of steps. Appends to bench/results/overlap-<date>.md. Run it on an idle machine: it takes about 3 minutes.
#
# MODEL      preset, random weights      esm2_t30_150M
# TOKENS     of the global batch         1K
# DTYPE                                  fp32
# ROUNDS                                 5
# BUILD      with bench_steps            build
# OPTIONS    of train, further
# RESULTS    file                        bench/results/overlap-<date>.md
set -euo pipefail

here="$(cd "$(dirname "$0")" && pwd)"
# shellcheck source=bench/proteins.sh
. "$here/proteins.sh"
build="$(cd "${BUILD:-$here/../build}" && pwd)" rounds="${ROUNDS:-5}" model="${MODEL:-esm2_t30_150M}" tokens="${TOKENS:-1K}" dtype="${DTYPE:-fp32}"
results="${RESULTS:-$here/results/overlap-$(date -u +%Y-%m-%d).md}"
read -r -a options <<<"${OPTIONS:-}"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
data="$(proteins "${1:-}" "$work")"
export OMP_WAIT_POLICY=passive NO_COLOR=1

timeout -k 3 3600 "$here/paced_link.sh" "$build/bench_steps" "$work/times" - both --model "$model" --train "$data" --dtype "$dtype" --threads 1 \
  --batch-tokens "$tokens" --max-length 512 --max-steps $((2 * rounds + 1)) --logging-steps 1 --save-steps 1M --cache-dir "$work/cache" \
  --output-dir "$work/run" "${options[@]}" >"$work/words" 2>&1 || { status=$?; cat "$work/words" >&2; exit $status; }

# step, seconds waited for buckets as the log has it: mean of the ranks
sed -n 's/.*"step":\([0-9]*\).*"seconds":\([0-9.e+-]*\).*"comm_exposed":\([0-9.e+-]*\).*/\1 \2 \3/p' "$work/run/log.jsonl" |
  awk '{ print $1, $3 * ($2 - before); before = $2 }' >"$work/exposed"
# A line a pair: seconds off, on; waited off, on; under way on. The first step does not count.
awk 'NR == FNR { waited[$1] = $2; next } $1 == 0 { seconds[$2] = $4; busy[$2] = $6 }
  END { for (s = 2; s in seconds && s + 1 in seconds; s += 2) print seconds[s], seconds[s + 1], waited[s], waited[s + 1], busy[s], busy[s + 1] }' \
  "$work/exposed" "$work/times" >"$work/pairs"
column() { awk -v c="$1" '{ print $c }' "$work/pairs" | sort -g | awk '{ v[NR] = $1 } END { printf "%.4g", (v[int((NR + 1) / 2)] + v[int(NR / 2) + 1]) / 2 }'; }

{
  [ -s "$results" ] || printf '# What overlap saves on a link of 2 Gbit/s (bench/overlap.sh)\n\nSeconds, medians over pairs of steps of one run. Communication: seconds in which something was under way where nothing else was done.\n'
  printf '\n## %s, %s, %s cores, load %s\n\n' "$(date -u '+%Y-%m-%d %H:%M UTC')" "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)" "$(nproc)" \
    "$(cut -d ' ' -f 1 /proc/loadavg)"
  printf 'Commit %s. %s, %s, %s tokens a batch, %s pairs.%s\n\n' "$(git -C "$here" rev-parse --short HEAD)" "$model" "$dtype" "$tokens" "$rounds" \
    "${OPTIONS:+ $OPTIONS}"
  printf '| step, overlap off | step, on | communication | saved / communication (wanted: 0.5) | waited, off (comm_exposed) | waited, on | shorter wait / saved (wanted: 0.8 to 1.2) |\n'
  printf '|---:|---:|---:|---:|---:|---:|---:|\n'
  awk -v off="$(column 1)" -v on="$(column 2)" -v woff="$(column 3)" -v won="$(column 4)" -v busy="$(column 5)" 'BEGIN {
    printf "| %s | %s | %s | **%.2f** | %s | %s | **%.2f** |\n", off, on, busy, (off - on) / busy, woff, won, (woff - won) / (off - on) }'
} | tee -a "$results"
