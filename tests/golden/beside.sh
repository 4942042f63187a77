#!/bin/sh
# Two programs side by side, on any machine: everything record.sh lists, whole logs without the time they took, what commands print,
# and every help. usage: beside.sh OLD NEW. Code 0 when all is equal; each difference is named.
set -eu
[ $# -eq 2 ] || { echo "usage: beside.sh OLD NEW" >&2; exit 2; }
old=$(realpath "$1") new=$(realpath "$2")
here=$(cd "$(dirname "$0")" && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
LC_ALL=C HOME=$scratch NO_COLOR=1
export LC_ALL HOME NO_COLOR

# The fields of time are left out by their names.
csv_without_time() {
  awk -F , 'NR == 1 { for (i = 1; i <= NF; i++) timed[i] = $i ~ /^(seconds|residues_per_s|data_wait|eval_seconds)$/ }
    { for (i = 1; i <= NF; i++) if (!timed[i]) printf "%s,", $i; print "" }' "$1"
}
json_without_time() {
  sed -E 's/,? *"(seconds|residues_per_s|data_wait|eval_seconds|window\.seconds|window\.waited|run_id)": ?[^,}]*//g' "$1"
}

# save FILE COMMAND...: what the command writes and its exit code, through words.sed, which makes words alike that are to differ.
save() {
  file=$1
  shift
  "$@" >"$scratch/words" 2>&1 </dev/null || echo "exit code $?" >>"$scratch/words"
  if [ -f "$here/words.sed" ]; then sed -E -f "$here/words.sed" "$scratch/words" >"$file"; else cp "$scratch/words" "$file"; fi
}

# Every command of the overview, and the first word of those of two: SIDE/help.
save_help() {
  save "$side/help/protlm" "$protlm" --help
  "$protlm" --help | sed -nE 's/^  ([a-z]+( [a-z]+)?)   *[a-z].*/\1/p' >"$scratch/commands"
  cut -d ' ' -f 1 "$scratch/commands" >"$scratch/parents"
  sort -u "$scratch/commands" "$scratch/parents" | while read -r command; do
    # shellcheck disable=SC2086
    save "$side/help/protlm $command" "$protlm" $command --help
  done
}

# What is compared of one run: CASE/compared.
save_case() {
  name=$1
  cd "$side/runs/$name"
  mkdir compared
  mv ./*.safetensors compared
  [ -d run ] || return 0
  PROTLM_CPU=${name#*-}
  PROTLM_CPU=${PROTLM_CPU%%-*}
  export PROTLM_CPU
  json_without_time run/log.jsonl >compared/log.jsonl
  csv_without_time run/metrics.csv >compared/metrics.csv
  for file in protlm_state.json trainer_state.json; do json_without_time "run/checkpoint-20/$file" >"compared/$file"; done
  cp run/config.yaml compared
  for file in config.json vocab.txt tokenizer_config.json special_tokens_map.json; do cp "run/final/$file" compared; done
  (cd run && find . ! -name 'events.*' | sort) >compared/files
  save compared/eval_per_sequence "$protlm" eval --model run/final --data ../eval.fasta --cache-dir ../cache --max-length 150 \
    --mask-probability 0.15 --random-tokens aa-other --eval-draws 2 --eval-seed 3 --dtype "${name%%-*}" --threads 2 --per-sequence
  # 8217999 had no column `scored`, and counted special tokens into the length of a cropped sequence
  cut -f 1,3-6 compared/eval_per_sequence >compared/eval_scores && rm compared/eval_per_sequence
  save compared/eval "$protlm" eval --model run/final --data ../eval.fasta --train ../train.fasta --cache-dir ../cache --max-length 1024 \
    --protocol hf --dtype "${name%%-*}" --threads 1
  save compared/inspect_params "$protlm" inspect params --model run/final
  save compared/inspect_forward "$protlm" inspect forward --model run/final --fasta ../eval.fasta --cache-dir ../cache \
    --dtype "${name%%-*}" --threads 1 --slice 'logits[0:3,4:24]'
  save compared/inspect_batch "$protlm" inspect batch --config run/config.yaml --step 7 --records 100
  save compared/ckpt_verify "$protlm" ckpt verify run/checkpoint-20
}

save_side() {
  side=$scratch/$1 protlm=$2
  mkdir -p "$side/help"
  save_help
  "$here/record.sh" "$protlm" "$side/runs" >"$scratch/table" || exit 1
  grep -v '^#' "$scratch/table" >"$side/table"
  for directory in "$side"/runs/*-*; do
    [ -z "$(find "$directory" -prune -empty)" ] || continue
    (save_case "$(basename "$directory")") || exit 1
  done
  save "$side/inspect_tokens" "$protlm" inspect tokens --fasta "$here/../fixtures/proteins/twenty.fasta" --cache-dir "$side"
  # the last 4096 bytes of a packed file say of which files it was made, with their times
  for file in "$side"/runs/cache/*.plmd; do head -c -4096 "$file"; done >"$side/packed"
}

save_side old "$old"
save_side new "$new"
cd "$scratch"
for side in old new; do (cd $side && find table help packed inspect_tokens runs/*/compared -type f | sort) >$side.list; done
different=0
sort -u old.list new.list >list
while read -r file; do
  cmp -s "old/$file" "new/$file" && continue
  different=$((different + 1))
  echo "different: $file" | sed 's/runs\/\(.*\)\/compared\//\1: /'
  diff -a "old/$file" "new/$file" 2>&1 | head -n 6 | cut -c 1-200 | sed 's/^/    /'
done <list
compared=$(wc -l <list)
[ $different = 0 ] || { echo "$different of $compared files are different"; exit 1; }
echo "all equal: $compared files, $(wc -l <old/table) hashes, $(ls old/help | wc -l) helps"
