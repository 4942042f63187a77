#!/bin/sh
# The same number of ranks writes the same bytes whatever started them (mpirun of Open MPI, mpiexec of MPICH), with --zero 0 and 1, and for
# gradients that travel in fp32 and bf16: model, optimizer, trainer_state.json, log.jsonl and metrics.csv, but for times and rates.
# And ranks with other numbers of threads and other kernels on each keep equal parameters over 200 clipped steps.
# Skips (77) where one of the makes is not here. usage: mpi_same.sh PROTLM
set -u
protlm=$1
here=$(cd "$(dirname "$0")" && pwd)
out=$(mktemp -d) || exit 1
trap 'rm -rf "$out"' EXIT
ln -s "$(dirname "$protlm")"/protlm_mpi_*.so "$out" # where mpi_ranks.sh looks for them

# Every rank runs this: rank 1 with the words of ODD, and the settings of ODD_SETTINGS.
cat >"$out/rank" <<'END'
#!/bin/sh
if [ "${OMPI_COMM_WORLD_RANK:-${PMI_RANK:-0}}" = 1 ]; then
  # shellcheck disable=SC2086,SC2163
  [ -z "${ODD_SETTINGS:-}" ] || export $ODD_SETTINGS
else
  ODD=${EVEN:-}
fi
# shellcheck disable=SC2086
exec "$PROTLM" train "$@" $ODD
END
chmod +x "$out/rank"
export PROTLM="$protlm" ODD='' EVEN=''

fail() { echo "FAILED: $1"; tail -n 20 "$out/$name.err"; exit 1; }
run() { # NAME MAKE RANKS arguments...: into the directory run, which then becomes NAME, as it is named in what is written
  name=$1 make=$2 ranks=$3
  shift 3
  rm -rf "${out:?}/$name" "${out:?}/run"
  code=0
  (cd "$out" && MPI_TEST_SECONDS=200 "$here/mpi_ranks.sh" "$make" "$ranks" "$out/rank" --model esm2_t6_8M --num-hidden-layers 2 \
    --hidden-size 32 --num-attention-heads 4 --train "$here/proteins.fasta" --max-length 256 --batch-tokens 512 --micro-batch-tokens 300 \
    --learning-rate 2e-3 --logging-steps 1 --cache-dir "$out/cache" --output-dir run "$@") >"$out/$name.out" 2>"$out/$name.err" || code=$?
  [ $code -ne 77 ] || { cat "$out/$name.out"; exit 77; }
  [ $code -eq 0 ] || fail "$name: ended with $code"
  mv "$out/run" "$out/$name"
}

# What is measured differs from run to run.
measured='seconds residues_per_s data_wait eval_seconds comm_exposed imbalance slowest_rank'
without_times() { # JSON
  sed -E "s/\"($(echo "$measured" | tr ' ' '|'))\": *[^,}]*//g" "$1"
}
without_columns() { # CSV
  awk -F, -v measured="$measured" 'NR == 1 { split(measured, names, " "); for (i in names) out[names[i]] = 1; for (i = 1; i <= NF; i++) drop[i] = $i in out }
    { for (i = 1; i <= NF; i++) printf "%s,", drop[i] ? "" : $i; print "" }' "$1"
}
same() { # ONE OTHER
  for file in final/model.safetensors checkpoint-12/model.safetensors checkpoint-12/optimizer.safetensors; do
    cmp "$out/$1/$file" "$out/$2/$file" || fail "$1 and $2 differ in $file"
  done
  for file in log.jsonl checkpoint-12/trainer_state.json metrics.csv; do
    form=without_times
    [ $file != metrics.csv ] || form=without_columns
    $form "$out/$1/$file" >"$out/one"
    $form "$out/$2/$file" >"$out/other"
    [ "$(wc -l <"$out/one")" -gt 12 ] || fail "$1: $file is too short"
    diff "$out/one" "$out/other" >"$out/difference" || { head -n 10 "$out/difference"; fail "$1 and $2 differ in $file"; }
  done
}

steps="--max-steps 12 --save-steps 6 --eval $here/proteins.fasta --eval-steps 4 --threads 1"
compared=0
for wire in fp32 bf16; do
  for dtype in fp32 bf16; do
    # shellcheck disable=SC2086
    run "first" openmpi 3 $steps --dtype $dtype --grad-reduce-dtype $wire --zero 0
    for case in "openmpi 1" "mpich 0" "mpich 1"; do
      # shellcheck disable=SC2086
      run "${case% *}-zero-${case#* }" ${case% *} 3 $steps --dtype $dtype --grad-reduce-dtype $wire --zero "${case#* }"
      same first "$name"
      compared=$((compared + 1))
    done
    if [ $wire = bf16 ]; then cmp -s "$out/first/final/model.safetensors" "$out/$dtype.model" && fail "gradients in bf16 change nothing"; fi
    cp "$out/first/final/model.safetensors" "$out/$dtype.model"
  done
done
echo "$compared runs are as the first of their kind"

# 200 steps that are clipped, compared after each
mixed() { # NAME MAKE
  run "$1" "$2" 2 --max-steps 200 --save-steps 1000 --dtype fp32 --max-grad-norm 0.3 --check-replicas 1
  sed -n 's/.*"grad_norm":\([^,]*\),.*/\1/p' "$out/$1/log.jsonl" | awk '$1 > 0.3 { clipped++ } END { if (clipped < 200) { print clipped " steps of 200 were clipped"; exit 1 } }' ||
    fail "$1: not clipped"
}
EVEN='--threads 2' ODD='--threads 1'
mixed threads openmpi
cp "$out/threads/final/model.safetensors" "$out/threads.model"
EVEN='--threads 1' ODD='--threads 1'
if grep -qw avx512f /proc/cpuinfo && grep -qw avx512bw /proc/cpuinfo && grep -qw avx512vl /proc/cpuinfo; then
  export ODD_SETTINGS=PROTLM_CPU=avx2
  mixed kernels mpich
  echo "threads 2 and 1, kernels avx512 and avx2: equal parameters over 200 clipped steps"
else
  echo "threads 2 and 1: equal parameters over 200 clipped steps; kernels: this processor has no avx512, so they are alike"
fi
