#!/bin/sh
# The bits that a program computes, as a table: one line a case and item. usage: record.sh PROTLM OUT [CASES]
# CASES: a shell pattern of case names, such as 'bf16-avx2-*' (default: all). OUT, a new directory, keeps the runs: OUT/CASE/run.
# A case is DTYPE-LEVEL-tTHREADS-SHAPE, or batch-SHAPE, which no arithmetic touches. Every choice is typed, so no default moves a hash.
set -eu
[ $# -ge 2 ] || { echo "usage: record.sh PROTLM OUT [CASES]" >&2; exit 2; }
protlm=$(realpath "$1") out=$2 wanted=${3:-*}
tests=$(cd "$(dirname "$0")/.." && pwd)
LC_ALL=C
export LC_ALL
mkdir -p "$(dirname "$out")"
mkdir "$out"
out=$(cd "$out" && pwd)
cp "$tests/integration/proteins.fasta" "$out/train.fasta"
cp "$tests/fixtures/proteins/twenty.fasta" "$out/eval.fasta"

# Nothing of the caller's environment reaches the program.
clean() {
  env -i PATH="$PATH" ${LD_LIBRARY_PATH:+LD_LIBRARY_PATH="$LD_LIBRARY_PATH"} LC_ALL=C HOME="$out" OMP_WAIT_POLICY=passive PROTLM_CPU="$level" \
    "$protlm" "$@"
}
fact() { clean info | awk -v name="$1" '$1 == name { $1 = ""; print substr($0, 2); found = 1; exit } END { exit !found }'; }
# run COMMAND...: from OUT/CASE; its words are kept, and shown when it fails.
run() {
  clean "$@" >>"$out/$name/out" 2>>"$out/$name/err" </dev/null || {
    echo "$name: exit code $? of: protlm $*" >&2
    tail -n 5 "$out/$name/err" >&2
    exit 1
  }
}
item() { echo "$name $1 $(sha256sum | cut -d ' ' -f 1)"; }
log_values() { awk -F '[{,}]' -v key="\"$1\":" '{ for (i = 1; i <= NF; i++) if (index($i, key) == 1) print $i }' run/log.jsonl; }

# Head widths 6, 10 and 24; feed-forward widths that no vector width divides; rows below, at and above the products' pieces.
shape_options() {
  case $1 in
    w6) model="--num-hidden-layers 2 --hidden-size 12 --num-attention-heads 2 --intermediate-size 29"
        data="--max-length 64 --batch-tokens 512 --seed 7"
        rest="--micro-batch-tokens 200 --learning-rate 3e-3 --lr-scheduler-type linear --warmup-steps 5 --min-lr-ratio 0.1
              --weight-decay 0.01 --max-grad-norm 1.0" ;;
    w10) model="--num-hidden-layers 3 --hidden-size 40 --num-attention-heads 4 --intermediate-size 101"
         data="--max-length 96 --batch-tokens 640 --seed 8"
         rest="--micro-batch-tokens 256 --learning-rate 2e-3 --lr-scheduler-type cosine_with_min_lr --warmup-steps 3 --min-lr-ratio 0.2
               --weight-decay 0.1 --max-grad-norm 0.5" ;;
    w24) model="--num-hidden-layers 2 --hidden-size 48 --num-attention-heads 2 --intermediate-size 261"
         data="--max-length 192 --batch-tokens 640 --seed 9"
         rest="--micro-batch-tokens 320 --learning-rate 1e-3 --lr-scheduler-type esm2 --warmup-steps 4 --min-lr-ratio 0.1
               --weight-decay 0.05 --max-grad-norm 0" ;;
  esac
  data="$data --train ../train.fasta --cache-dir ../cache --lowercase upper --on-invalid error --mask-probability 0.15 --random-tokens aa-other"
}

# shellcheck disable=SC2086
record_training() {
  run train --model esm2_t6_8M $model --dtype "$dtype" $data $rest --eval ../eval.fasta --max-steps 20 \
    --adam-beta1 0.9 --adam-beta2 0.98 --adam-epsilon 1e-8 --max-nonfinite 5 --eval-steps 10 --eval-on-start --eval-draws 1 --eval-seed 0 \
    --early-stopping-threshold 0 --output-dir run --resume-from-checkpoint never --save-steps 10 --save-minutes 0 --save-total-limit 4 \
    --save-dtype fp32 --logging-steps 1 --threads "$threads" --loader-workers 1
  for step in 10 20; do
    for file in model optimizer; do item "$file.safetensors@$step" <"run/checkpoint-$step/$file.safetensors"; done
  done
  run inspect forward --model run/final --fasta ../eval.fasta --cache-dir ../cache --lowercase upper --on-invalid error --max-length 192 \
    --layers all --dtype "$dtype" --threads "$threads" --output forward.safetensors
  item inspect_forward <forward.safetensors
  for key in step loss grad_norm learning_rate tokens residues eval_loss; do log_values $key | item "log.$key"; done
  for form in json per-sequence; do
    run eval --model run/final --data ../eval.fasta --cache-dir ../cache --lowercase upper --on-invalid error --max-length 150 \
      --mask-probability 0.15 --random-tokens aa-other --eval-draws 2 --eval-seed 3 --dtype "$dtype" --threads "$threads" --$form --output eval.$form
    item "eval.$form" <eval.$form
  done
}

# shellcheck disable=SC2086
record_batch() {
  for step in 1 20; do
    run inspect batch --model esm2_t6_8M $data --max-steps 20 --step "$step" --records 3 --output "batch-$step.safetensors"
    item "inspect_batch@$step" <"batch-$step.safetensors"
  done
}

# begin NAME: false when it was not asked for.
begin() {
  name=$1
  # shellcheck disable=SC2254
  case $name in $wanted) ;; *) return 1 ;; esac
  mkdir "$out/$name"
  cd "$out/$name"
}

level=
echo "# compiler $(fact compiler)"
echo "# oneDNN $(fact oneDNN || echo none)"
echo "# processor $(fact name), level $(fact level_found)"
echo "# date $(date -u +%Y-%m-%d)"
for shape in w6 w10 w24; do
  shape_options $shape
  level=ref
  ! begin "batch-$shape" || record_batch
  for dtype in fp32 bf16; do
    for level in ref avx2 avx512 avx512bf16; do
      used=$(fact level_used)
      for threads in 1 2; do
        begin "$dtype-$level-t$threads-$shape" || continue
        if [ "$used" = "$level" ]; then record_training; else echo "skipped: $name: this processor computes with $used" >&2; fi
      done
    done
  done
done
