#!/usr/bin/env bash
# The fish completion in a real fish. usage: completion_fish.sh SOURCE_DIR DIRECTORY_OF_PROTLM; 77: there is no fish
set -u
PATH=$2:$PATH
command -v fish >/dev/null || { echo "fish is not installed"; exit 77; }
cd "$(mktemp -d)" && trap 'rm -rf "$PWD"' EXIT
touch proteins.fasta
export HOME=$PWD
failed=0

reply() { fish -c 'source $argv[1]; complete -C $argv[2]' "$completions" "$1"; }
offers() { reply "$2" | cut -f1 | grep -qx -e "$1" || { echo "'$2' does not offer '$1' but:"; reply "$2"; failed=1; }; }
withholds() { ! reply "$2" | cut -f1 | grep -qx -e "$1" || { echo "'$2' offers '$1'"; failed=1; }; }

completions=$1/share/completions/protlm.fish
offers train "protlm t"
offers batch "protlm inspect "
withholds batch "protlm ckpt "
offers --learning-rate "protlm train --learn"
offers --step "protlm inspect batch --st"
withholds --mask-nonstandard "protlm ckpt ls --mask"
offers cosine "protlm train --lr-scheduler-type cos"
offers bf16 "protlm train --dtype "
offers proteins.fasta "protlm train --train pro"
offers --dtype=bf16 "protlm train --dtype=b"
offers --train=proteins.fasta "protlm train --train=pro"
offers proteins.fasta "protlm train --train some.fasta pro"
withholds proteins.fasta "protlm train --learning-rate pro"
exit $failed
