#!/bin/sh
# One rank is otherwise than the others, or the launch is: said once, before the first step, and all end with one code. And the ways of a
# launch that must not matter. Skips (77) where the make is not here. usage: mpi_odd.sh openmpi|mpich PROTLM
set -u
make=$1 protlm=$2
here=$(cd "$(dirname "$0")" && pwd)
out=$(mktemp -d) || exit 1
trap 'rm -rf "$out"' EXIT
ln -s "$(dirname "$protlm")"/protlm_mpi_*.so "$out"

# Each rank notes its own code: a launcher's is its own matter. What ODD says is rank 1's alone.
cat >"$out/rank" <<'END'
#!/bin/sh
rank=${OMPI_COMM_WORLD_RANK:-${PMI_RANK:-0}} model=esm2_t6_8M program=$PROTLM
if [ "$rank" = 1 ] && [ -n "${ODD:-}" ]; then eval "$ODD"; fi
"$program" train --model "$model" "$@"
code=$?
echo $code >"$CODES/$rank"
exit $code
END
chmod +x "$out/rank"
export PROTLM="$protlm" CODES="$out/codes" ODD=''

run() { # NAME RANKS arguments...
  name=$1 ranks=$2
  shift 2
  rm -rf "$CODES"
  mkdir "$CODES"
  code=0
  MPI_TEST_SECONDS=100 "$here/mpi_ranks.sh" "$make" "$ranks" "$out/rank" --num-hidden-layers 1 --hidden-size 16 --num-attention-heads 2 \
    --max-length 256 --batch-tokens 512 --threads 1 --dtype fp32 --cache-dir "$out/cache" --logging-steps 1 --max-steps 3 \
    --output-dir "$out/$name" "$@" >"$out/$name.out" 2>"$out/$name.err" || code=$?
  [ $code -ne 77 ] || { cat "$out/$name.out"; exit 77; }
}
fail() { echo "FAILED: $name: $1"; tail -n 20 "$out/$name.err"; exit 1; }
# mpirun ends the shell around a rank before it has noted a code where another ended with a failure.
ends() { # CODE
  [ "$(cat "$CODES"/* 2>/dev/null | sort -u)" = "$1" ] || fail "ranks ended with $(cat "$CODES"/* | tr '\n' ' '), not with $1"
  [ $code = "$1" ] || fail "the launcher ended with $code, not $1"
}
once() { [ "$(grep -c -- "$1" "$out/$name.err")" = 1 ] || fail "not said once: $1"; }
never_steps() { ! grep -q '^step 1/' "$out/$name.err" || fail "a step was done"; }
train="--train $here/proteins.fasta"

# another build: the note by which the linker names it differs in its last byte
if command -v objcopy >/dev/null && objcopy --dump-section .note.gnu.build-id="$out/note" "$protlm" "$out/protlm" 2>/dev/null; then
  size=$(wc -c <"$out/note")
  { head -c $((size - 1)) "$out/note"; if [ "$(tail -c 1 "$out/note")" = A ]; then printf B; else printf A; fi; } >"$out/other-note"
  objcopy --update-section .note.gnu.build-id="$out/other-note" "$protlm" "$out/protlm"
  # shellcheck disable=SC2086
  ODD="program=$out/protlm" run build 2 $train
  ends 2; once 'rank 1 (.*) has other build of protlm than rank 0'; never_steps
else
  echo "no objcopy: another build on rank 1 was not tried"
fi

# another model, another option by the environment
# shellcheck disable=SC2086
ODD='model=esm2_t12_35M' run model 2 $train
ends 2; once 'rank 1 (.*) has other --.* than rank 0'; never_steps
# shellcheck disable=SC2086
ODD='export PROTLM_SEED=9' run environment 2 $train
ends 2; once 'rank 1 (.*) has other --seed than rank 0'; never_steps

# more ranks than sequences: said, and the run is done
printf '>a\nMKTAYIAKQRQISFVKSHFSRQLEERLGLIEVQ\n>b\nMSTNPKPQRKTKRNTNRRPQDVKFPGG\n' >"$out/two.fasta"
run few 4 --train "$out/two.fasta"
ends 0
once 'sequences, so of 4 ranks some have nothing to do'

# settings of a launch that must not matter: GPU-aware MPI without its library; one core for all ranks
# shellcheck disable=SC2086
MPICH_GPU_SUPPORT_ENABLED=1 run gpu_aware 2 $train
ends 0
if command -v taskset >/dev/null; then
  cpu=$(sed -n 's/^Cpus_allowed_list:[[:space:]]*\([0-9]*\).*/\1/p' /proc/self/status)
  mv "$out/rank" "$out/unbound"
  printf '#!/bin/sh\nexec taskset -c %s "%s" "$@"\n' "$cpu" "$out/unbound" >"$out/rank"
  chmod +x "$out/rank"
  # shellcheck disable=SC2086
  run crowded 3 $train
  ends 0
fi

# no such MPI
# shellcheck disable=SC2086
PROTLM_MPI=/nonexistent/libmpi.so run absent 2 $train
grep -q '/nonexistent/libmpi.so cannot be opened' "$out/$name.err" || fail "the library that is not there is not named"
[ "$make" = mpich ] || once 'libmpi.so cannot be opened' # mpiexec ends no rank for another's failure before MPI is open: each speaks for itself
ends 2
never_steps
echo "odd ranks and launches by $make"
