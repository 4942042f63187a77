#!/usr/bin/env bash
# Four ranks on two nodes write the same bytes whatever started them: srun with pmix (Open MPI) and with pmi2 (MPICH), mpirun and mpiexec.
# Model, optimizer, trainer_state.json, log.jsonl and metrics.csv, but for times and rates.
# shellcheck source=tests/slurm/lib.sh disable=SC2154
. "$(dirname "$0")/lib.sh"

STEPS=12
train_by() { # NAME COMMAND...
  local name=$1
  shift
  rm -rf run
  client "$@" "$PROTLM" "${train_line[@]}" --cache-dir "$scratch/cache" --max-steps $STEPS --save-steps $STEPS --eval proteins.fasta \
    --eval-steps 6 --output-dir run >"$name.out" 2>"$name.err" || { cat "$name.err"; fail "$name ends with $?"; }
  grep -q '^4 ranks: ' "$name.err" || { cat "$name.err"; fail "$name: not 4 ranks"; }
  mv run "$name"
  note "$name: $STEPS steps by 4 ranks on 2 nodes"
}

measured='seconds residues_per_s data_wait eval_seconds comm_exposed imbalance slowest_rank'
without_times() { sed -E "s/\"(${measured// /|})\": *[^,}]*//g" "$1"; }
without_columns() {
  awk -F, -v measured="$measured" 'NR == 1 { split(measured, names, " "); for (i in names) out[names[i]] = 1; for (i = 1; i <= NF; i++) drop[i] = $i in out }
    { for (i = 1; i <= NF; i++) printf "%s,", drop[i] ? "" : $i; print "" }' "$1"
}
expect_same_bytes() { # ONE OTHER
  local file form
  for file in final/model.safetensors checkpoint-$STEPS/{model,optimizer}.safetensors; do expect_same_file "$1/$file" "$2/$file"; done
  for file in log.jsonl checkpoint-$STEPS/trainer_state.json metrics.csv; do
    form=without_times
    [ "$file" != metrics.csv ] || form=without_columns
    $form "$1/$file" >one
    $form "$2/$file" >other
    [ "$(wc -l <one)" -gt $STEPS ] || fail "$1/$file is too short"
    diff one other || fail "$1 and $2 differ in $file"
  done
  note "$1 and $2: the same bytes"
}

unset 'train_line[-1]' 'train_line[-1]' # --max-steps of its own

train_by pmix srun --mpi=pmix -N 2 --ntasks-per-node 2
train_by pmi2 srun --mpi=pmi2 -N 2 --ntasks-per-node 2
train_by mpirun salloc -Q -N 2 --ntasks-per-node 2 mpirun.openmpi --bind-to none
train_by mpiexec salloc -Q -N 2 --ntasks-per-node 2 mpiexec.mpich -bind-to none
for other in pmi2 mpirun mpiexec; do expect_same_bytes pmix $other; done
