#!/bin/sh
# `eval` by 1, 2, 3 and 5 ranks writes the bytes that a process alone writes, whatever the threads. usage: mpi_eval.sh openmpi|mpich PROTLM
set -eu
export NO_COLOR=1 # mpirun gives its ranks a terminal
make=$1 protlm=$2
here=$(cd "$(dirname "$0")" && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# run THREADS FORM [LAUNCHER...]: to standard output
run() {
  threads=$1 form=$2
  shift 2
  "$@" "$protlm" eval --model "$here/../fixtures/parity/d16_half_inv_freq" --data "$here/proteins.fasta" --cache-dir "$scratch/cache" \
    --max-length 150 --eval-draws 2 --threads "$threads" "$form" 2>"$scratch/words"
}

for form in --no-json --json --per-sequence; do
  run 1 "$form" >"$scratch/alone"
  [ -s "$scratch/alone" ] || { echo "eval $form printed nothing"; exit 1; }
  for case in 1:1 2:1 3:1 5:1 2:2; do
    code=0
    run "${case#*:}" "$form" "$here/mpi_ranks.sh" "$make" "${case%:*}" >"$scratch/shared" || code=$?
    [ $code != 77 ] || { cat "$scratch/shared"; exit 77; }
    [ $code = 0 ] || { cat "$scratch/words"; echo "eval $form by ${case%:*} ranks: exit code $code"; exit 1; }
    cmp "$scratch/alone" "$scratch/shared" || { diff "$scratch/alone" "$scratch/shared" | head; echo "eval $form by ${case%:*} ranks differs"; exit 1; }
  done
done

# A rank that is started otherwise is named, once and with one code. The script stands beside the modules, as the program does.
ln -s "$(dirname "$protlm")"/protlm_mpi_*.so "$scratch"
cat >"$scratch/otherwise" <<'END'
#!/bin/sh
[ "${OMPI_COMM_WORLD_RANK:-$PMI_RANK}" != 2 ] || set -- "$@" --eval-seed 5
exec "$@"
END
chmod +x "$scratch/otherwise"
code=0
"$here/mpi_ranks.sh" "$make" 3 "$scratch/otherwise" "$protlm" eval --model "$here/../fixtures/parity/d16_half_inv_freq" \
  --data "$here/proteins.fasta" --cache-dir "$scratch/cache" --threads 1 >"$scratch/shared" 2>"$scratch/words" || code=$?
grep -q 'rank 2 (.*) has other options than rank 0' "$scratch/words" || { cat "$scratch/words"; echo "rank 2 is not named"; exit 1; }
[ $code = 2 ] || { echo "exit code $code, not 2"; exit 1; }
[ "$(grep -c 'has other options' "$scratch/words")" = 1 ] || { cat "$scratch/words"; echo "said more than once"; exit 1; }

# Kernels of one rank's processor are everybody's.
cat >"$scratch/otherwise" <<'END'
#!/bin/sh
[ "${OMPI_COMM_WORLD_RANK:-$PMI_RANK}" != 1 ] || export PROTLM_CPU=ref
exec "$@"
END
PROTLM_CPU=ref run 1 --per-sequence >"$scratch/alone"
run 1 --per-sequence "$here/mpi_ranks.sh" "$make" 2 "$scratch/otherwise" >"$scratch/shared" || { cat "$scratch/words"; exit 1; }
cmp "$scratch/alone" "$scratch/shared" || { echo "a rank's lower kernels were not taken by all"; exit 1; }
echo "the same bytes by 1, 2, 3 and 5 ranks"
