#!/bin/sh
# Make tests/golden/old_run: a run that a program left when it was killed after step 10 of 20, with the packed data that it read, and
# hashes of what an undisturbed run ends with. usage: make_old_run.sh OLD OUT. Nothing in it names the machine.
set -eu
[ $# -eq 2 ] || { echo "usage: make_old_run.sh OLD OUT" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cp "$1" "$scratch/protlm"
mkdir "$2"
out=$(cd "$2" && pwd)
cd "$scratch"

# The host's name becomes part of the events file's: in a name space of our own it is another.
clean() {
  unshare --map-root-user --uts sh -c 'hostname host && exec "$@"' sh \
    env -i PATH="$PATH" LC_ALL=C HOME=. OMP_WAIT_POLICY=passive PROTLM_CPU=avx2 "$@" >/dev/null 2>err </dev/null
}
cat >"$out/options" <<'T'
--model esm2_t6_8M --num-hidden-layers 2 --hidden-size 12 --num-attention-heads 2 --intermediate-size 29 --dtype fp32
--train train.plmd --eval eval.fasta --cache-dir cache --max-length 64 --batch-tokens 512 --micro-batch-tokens 200 --seed 11
--max-steps 20 --learning-rate 3e-3 --lr-scheduler-type linear --warmup-steps 5 --min-lr-ratio 0.1 --weight-decay 0.01 --max-grad-norm 1.0
--eval-steps 10 --save-steps 10 --save-minutes 0 --logging-steps 1 --threads 1 --loader-workers 1 --output-dir run
T
cp "$here/../integration/proteins.fasta" proteins.fasta
cp "$here/../fixtures/proteins/twenty.fasta" "$out/eval.fasta"
clean ./protlm inspect tokens --fasta proteins.fasta --cache-dir packed
cp packed/*.plmd "$out/train.plmd"
cp "$out/train.plmd" "$out/eval.fasta" .

# shellcheck disable=SC2046
clean ./protlm train $(cat "$out/options")
"$here/old_run.sh" --hashes ./protlm >"$out/hashes.txt"
mv run undisturbed

# Killed between its two checkpoints, which may take a few tries.
until [ -e run/checkpoint-10 ] && [ ! -e run/checkpoint-20 ] && [ "$(ls -A run | grep -c '^\.')" = 0 ]; do
  rm -rf run
  # shellcheck disable=SC2046
  clean ./protlm train $(cat "$out/options") &
  until process=$(sed -n 's/^ *"process": \([0-9]*\).*/\1/p' run/env.json 2>/dev/null) && [ -n "$process" ]; do :; done
  until [ -e run/checkpoint-10 ]; do :; done
  kill -9 "$process" || :
  wait $! || :
done

# What names the machine, and is read by nobody.
sed -i -E 's/("directory": )"[^"]*"/\1"."/; s/("os": )"[^"]*"/\1"Linux"/; s/("(memory_bytes|process)": )[0-9]+/\11/' run/env.json
for events in run/events.*; do mv "$events" "${events%.*.*}.1.0"; done
cp -r run "$out/run"
if grep -rlF -e "$scratch" -e "$(hostname)" -e "$HOME/" "$out/run" "$out/train.plmd" | grep -v '\.html$'; then
  echo "these files name the machine" >&2
  exit 1
fi
du -sb "$out"
