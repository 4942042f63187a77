#!/usr/bin/env bash
# Every protlm command that the documents and the help pages show is run as it stands, on made-up proteins; a tiny model is asked for
# through the environment. usage: documents.sh SOURCE_DIR PROTLM [slow]; slow: this build is, so it makes fewer steps
set -u
source=$1 protlm=$2
here=$(mktemp -d) && cd "$here" && trap 'rm -rf "$here"' EXIT
mkdir build bin && ln -s "$protlm" build/protlm && ln -s "$protlm" bin/protlm
export PATH="$here/bin:$PATH" HOME="$here" XDG_CACHE_HOME="$here/cache" OMP_WAIT_POLICY=passive
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
export PROTLM_NUM_HIDDEN_LAYERS=1 PROTLM_HIDDEN_SIZE=16 PROTLM_NUM_ATTENTION_HEADS=2 PROTLM_INTERMEDIATE_SIZE=32 PROTLM_THREADS=1
export PROTLM_BATCH_TOKENS=64 PROTLM_MAX_LENGTH=32 PROTLM_LOGGING_STEPS=250 # for train
export PROTLM_ROWS=8 PROTLM_SECONDS=0.01 PROTLM_LENGTH=16 PROTLM_MICRO_BATCH_TOKENS=64       # for bench
steps=500 most=600
[ "${3:-}" != slow ] || steps=110 most=30
export PROTLM_STEPS=$steps
make_proteins() { awk -v first="$1" 'BEGIN { srand(first); for (i = 0; i < 40; i++) { printf ">p%d\n", first + i; for (j = 0; j < 30; j++) printf "%s", substr("LAGVSERTIDPKQNFYMHWC", 1 + int(20 * rand()), 1); print "" } }'; }
for name in my other held_out few twenty proteins; do make_proteins $((${#name} * 100)) >$name.fasta; done
gzip -k proteins.fasta

join_lines() { sed -e ':more' -e '/\\$/{' -e N -e 's/\\\n *//' -e 'b more' -e '}'; }
commands_of_document() { sed -n '/^```sh/,/^```/p' "$1" | sed '/^```/d' | join_lines; }
commands_of_help() { "$protlm" help $1 | sed -n '/^Examples:/,/^$/p' | sed '1d; /^ *#/d; s/^ *//' | join_lines; }

failed=0 ran=0 cluster=$(timeout 5 sinfo -h 2>/dev/null)
run_all() { # a title; commands on standard input, which may go on after a backslash
  local title=$1 command code
  while read -r command; do
    case $command in
      '' | '#'* | make* | cmake* | ctest* | *facebook/* | *PROTLM_NO_INSTALL*) continue ;;
      *protlm*) ;;
      *) continue ;;
    esac
    ran=$((ran + 1))
    [ -n "$cluster" ] || command=${command% && bash drill.sh} # which is for a cluster
    command=${command/--max-steps 600/--max-steps $most} command=${command//checkpoint-500/checkpoint-$steps}
    bash -c "$command" >out 2>err </dev/null && continue
    code=$?
    printf '%s: %s\nexit code %s\n' "$title" "$command" "$code"
    tail -n 5 err
    failed=1
  done
}

protlm train --model esm2_t6_8M --train my.fasta --eval-fraction 0.05 --output-dir run >out 2>err || { cat err; exit 1; }
cp run/config.yaml run.yaml
for document in README.md docs/first_hour.md docs/formats.md docs/reliability.md docs/SLURM.md; do
  [ ! -f "$source/$document" ] || run_all "$document" < <(commands_of_document "$source/$document")
done
mv run kept
PROTLM_STEPS=2 run_all "protlm train --help" < <(commands_of_help train)
rm -rf run && mv kept run
for command in eval "inspect tokens" "inspect batch" "inspect forward" "inspect params" "ckpt ls" "ckpt verify" report slurm info "bench gemm" "bench step" "bench scaling"; do
  PROTLM_STEPS=2 run_all "protlm $command --help" < <(commands_of_help "$command")
done
echo "$ran commands ran"
[ "$ran" -ge 30 ] || { echo "that is too few: were the documents read?"; failed=1; }
exit $failed
