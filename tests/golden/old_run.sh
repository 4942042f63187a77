#!/bin/sh
# The test golden/old_run_resumes: a run that commit 8217999 left resumes without a warning and ends with the bytes 8217999 would have written, and
# the packed data it read are read. usage: old_run.sh PROTLM BUILD COMPILER, as for bits.sh; or old_run.sh --hashes PROTLM, in a directory
# with such a run, to print its hashes.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
hashes=$here/hashes.txt
. "$here/fits.sh"
LC_ALL=C OMP_WAIT_POLICY=passive
export LC_ALL OMP_WAIT_POLICY

item() { echo "$1 $(sha256sum | cut -d ' ' -f 1)"; }
# Where the data go does not depend on arithmetic, nor on the build.
data_hashes() {
  "$protlm" inspect batch --config run/config.yaml --step 15 --output batch.safetensors >/dev/null 2>&1
  item inspect_batch <batch.safetensors
  "$protlm" inspect tokens --fasta proteins.fasta --cache-dir packed >/dev/null 2>&1
  head -c -4096 packed/*.plmd | item packed # without the summary, which says when the file was made of what
}
run_hashes() {
  for file in model optimizer; do item $file.safetensors@20 <run/checkpoint-20/$file.safetensors; done
  item final/model.safetensors <run/final/model.safetensors
  sed -E 's/,"(seconds|residues_per_s|data_wait|eval_seconds)":[^,}]*//g' run/log.jsonl | item log.jsonl
  PROTLM_CPU=avx2 "$protlm" eval --model run/final --data train.plmd --dtype fp32 --threads 1 --per-sequence |
    cut -f 1-6 | item eval_per_sequence # 8217999 had six columns
}
if [ "$1" = --hashes ]; then
  protlm=$2
  data_hashes
  run_hashes
  exit
fi

protlm=$1 reason=$(why_not "$1" "$2" "$3") failed=0
fail() { echo "$*"; failed=1; }
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cp -r "$here/old_run/." "$scratch"
cp "$here/../integration/proteins.fasta" "$scratch"
cd "$scratch"
level=$(PROTLM_CPU=avx2 "$protlm" info | awk '$1 == "level_used" { print $2 }')
[ "$level" = avx2 ] || reason=${reason:-"this processor computes with $level, the run with avx2"}

code=0
# shellcheck disable=SC2046
"$protlm" train $(cat options) >out 2>err || code=$?
[ $code = 0 ] || fail "the run did not resume to its end: code $code"
grep -q '"first_step": 11,' run/env.json || fail "the run did not go on from step 10"
# Another processor or build has other arithmetic, and says so.
same_machine=$("$protlm" info | awk '$1 == "processor" { found = 1 } found && $1 == "name" { $1 = ""; print substr($0, 2); exit }')
if [ -n "$reason" ] || [ "$same_machine" != "$(recorded processor | sed 's/, level .*//')" ]; then
  sed -i '/^warning: bits may differ from a run that was not interrupted: /d' err
fi
! grep -iE 'warning|error' err || fail "the run did not resume in silence"
"$protlm" ckpt verify run/checkpoint-10 run/checkpoint-20 >/dev/null || fail "a checkpoint is not good"

{ data_hashes; run_hashes; } >is
[ -z "$reason" ] || { echo "not compared with 8217999's bytes: $reason"; grep -E '^(inspect_batch|packed) ' is >some; mv some is; }
while read -r item hash; do
  was=$(awk -v item="$item" '$1 == item { print $2 }' hashes.txt)
  [ "$hash" = "$was" ] || fail "$item is not what 8217999 wrote: sha256 $was then, $hash now"
done <is
[ $failed = 0 ] || { sed 's/^/    /' err; exit 1; }
echo "resumed without a warning; $(wc -l <is) hashes are those of 8217999"
