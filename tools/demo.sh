#!/bin/sh
# Train a small ESM-2 on real proteins, from random weights, and show what it has learnt. `make demo` calls it.
# usage: tools/demo.sh PROTLM [SEQUENCES]
#   SEQUENCES   a FASTA or HDF5 file of your own; default: the 20,000 UniProt proteins of the Debian package mmseqs2-examples
#   DEMO_DIR    where everything goes (default: demo); run it again to go on, or remove the directory to start afresh
#   DEMO_STEPS  steps of training (default: 600); it stays the same for a DEMO_DIR
set -eu
protlm=$1 data=${2:-} directory=${DEMO_DIR:-demo} steps=${DEMO_STEPS:-600}
share=0.05 # of the sequences is set aside
file_in_package=usr/share/doc/mmseqs2/example-data/DB.fasta.gz

say() { printf '\n== %s\n' "$*"; }

# Without root: the package is fetched and unpacked, not installed.
fetch_examples() {
  [ ! -f "/$file_in_package" ] || { echo "/$file_in_package"; return; }
  unpacked=$directory/data
  if [ ! -f "$unpacked/$file_in_package" ]; then
    mkdir -p "$unpacked"
    (cd "$unpacked" && apt-get download mmseqs2-examples >apt.log 2>&1 && dpkg-deb -x mmseqs2-examples_*.deb . && rm mmseqs2-examples_*.deb) || {
      cat "$unpacked/apt.log" >&2
      echo "The example proteins could not be fetched. Give sequences of your own: make demo DATA=my.fasta" >&2
      return 1
    }
  fi
  echo "$unpacked/$file_in_package"
}

mkdir -p "$directory"
if [ -z "$data" ]; then
  data=$(fetch_examples)
  share=0.03 # about 560 different proteins
  own=no
else
  own=yes
fi

say "Training 4 layers of width 256 from random weights on $data"
"$protlm" train --model esm2_t6_8M --num-hidden-layers 4 --hidden-size 256 --num-attention-heads 8 \
  --train "$data" --eval-fraction $share --cache-dir "$directory/cache" --output-dir "$directory/run" \
  --batch-tokens 2048 --max-length 512 --learning-rate 1.5e-3 --max-steps "$steps" --eval-steps $((steps / 3)) --save-steps 200

# The last evaluation of the log: a line of JSON.
last=$(grep '"eval_loss"' "$directory/run/log.jsonl" | tail -n 1)
number() { printf '%s\n' "$last" | sed -n "s/.*\"$1\":\([-0-9.eE+]*\).*/\1/p"; }

say "One training batch as the model saw it: brackets mark what it had to guess"
"$protlm" inspect batch --quiet --config "$directory/run/config.yaml" --step "$steps" --records 1

say "What it knows now"
awk -v masked="$(number eval_perplexity_masked)" -v frequency="$(number baseline_frequency_masked)" -v gain="$(number gain_masked)" \
  -v error="$(number gain_masked_se)" -v own="$own" 'BEGIN {
    z = error > 0 ? gain / error : 0
    printf "Behind <mask>, on proteins it has never seen: perplexity %.2f; residue frequencies alone give %.2f.\n", masked, frequency
    printf "That is %.3f nats a residue better, %.1f standard errors.\n", gain, z
    if (z >= 5) exit 0
    if (own == "yes") { print "Not a clear gain yet: more steps (DEMO_STEPS=5000) or more sequences would show one."; exit 0 }
    print "That is less than 5 standard errors: something is wrong."; exit 1
  }'
cat <<T

  look at the curves   $directory/run/report.html (one file, no network needed)
  go on from here      $protlm eval --model $directory/run/final --data my.fasta --per-sequence
T
