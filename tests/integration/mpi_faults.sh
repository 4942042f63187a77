#!/bin/sh
# MPI itself fails on rank 1 in each stage of a run: all processes are gone in less than 30 s, and rank, host and stage are said, and stand in
# the file `stopped` once there is a directory for it. The stages are those that the sources name: found = failed.
# Skips (77) where the make is not here. usage: mpi_faults.sh openmpi|mpich PROTLM
set -u
make=$1 protlm=$2
here=$(cd "$(dirname "$0")" && pwd)
out=$(mktemp -d) || exit 1
trap 'rm -rf "$out"' EXIT

run() { # STAGE DIRECTORY arguments...
  stage=$1 directory=$2
  shift 2
  code=0
  PROTLM_TEST_TRANSPORT=${stage:+fail:1:$stage} MPI_TEST_SECONDS=100 "$here/mpi_ranks.sh" "$make" 2 "$protlm" train --model esm2_t6_8M \
    --num-hidden-layers 1 --hidden-size 16 --num-attention-heads 2 --train "$here/proteins.fasta" --eval "$here/proteins.fasta" --max-length 256 \
    --batch-tokens 512 --micro-batch-tokens 512 --threads 1 --dtype fp32 --cache-dir "$out/cache" --timeout 10 --zero 1 --save-steps 2 \
    --output-dir "$out/$directory" "$@" >"$out/out" 2>"$out/err" || code=$?
  [ $code -ne 77 ] || { cat "$out/out"; exit 77; }
}
fail() { echo "FAILED: $stage: $1"; tail -n 20 "$out/err"; [ ! -f "$out/$directory/stopped" ] || cat "$out/$directory/stopped"; exit 1; }
member() { sed -n "s/^ *\"$1\": *\\([^,]*\\),*\$/\\1/p" "$out/$directory/stopped"; }
is_any_left() { pgrep -f "train .*--output-dir $out/$directory( |\$)" >/dev/null; }

run '' good --max-steps 2
[ $code -eq 0 ] || fail "the run whose checkpoint is loaded ended with $code"

# Stages that src/train names; buckets under way have none of their own but these.
stages=$(cd "$here/../../src" && grep -rhoE '(plm_agree(_on_first|_on_text|_any)?|exchange|broadcast)\([^"]*"[a-z]+"' train --include='*.c' |
  sed -E 's/.*"([a-z]+)"$/\1/' | sort -u)
found=0 failed=0
for stage in $stages preflight reduce gather end warnings leave; do
  found=$((found + 1))
  before=$(date +%s)
  case $stage in
    load)
      cp -r "$out/good" "$out/$stage"
      run "$stage" "$stage" --max-steps 4 --allow-change max-steps ;;
    *) run "$stage" "$stage" --max-steps 2 ;;
  esac
  seconds=$(($(date +%s) - before))
  [ $code -ne 0 ] || [ "$make" = mpich ] || fail "ended well"
  [ $seconds -lt 60 ] || fail "took $seconds s" # 30 s, and what a loaded machine adds to a start
  i=0
  while is_any_left; do
    i=$((i + 1))
    [ $i -le 20 ] || fail "processes are left"
    sleep 0.5
  done
  said=$(sed -n 's/.*rank 1 ([^)]*): .* failed in stage "\([a-z]*\)".*/\1/p' "$out/err" | head -n 1)
  case $stage:$said in
    reduce:buckets | reduce:preflight | gather:buckets | gather:step) ;; # posted, and failed while the rank waited, or went on
    "$stage:$stage") ;;
    *) fail "rank, host and stage are not said: '$said'" ;;
  esac
  case $stage in
    options | directory | end | warnings | leave) ;; # there is no directory yet, or the run has ended
    *)
      [ -f "$out/$directory/stopped" ] || fail "there is no file 'stopped'"
      case "$(member rank) $(member stage) $(member host)" in "1 \"$said\" \""*) ;; *) fail "'stopped' says something else" ;; esac ;;
  esac
  failed=$((failed + 1))
  rm -rf "${out:?}/$stage"
done
echo "$make: stages found: $found, failed: $failed"
[ $found -eq $failed ]
