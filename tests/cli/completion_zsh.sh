#!/usr/bin/env bash
# The zsh completion in a real zsh at a terminal: type, press Tab, see what stands there.
# usage: completion_zsh.sh SOURCE_DIR DIRECTORY_OF_PROTLM; 77: there is no zsh
set -u
PATH=$2:$PATH
command -v zsh >/dev/null || { echo "zsh is not installed"; exit 77; }
cd "$(mktemp -d)" && trap 'rm -rf "$PWD"' EXIT
touch proteins.fasta
failed=0

cat >type.zsh <<'Z'
zmodload zsh/zpty
zpty shell zsh -f
zpty -w shell "PS1=; fpath=($1 \$fpath); autoload -Uz compinit; compinit -u -D; cd $PWD; PS1=REA''DY"
zpty -r shell seen '*READY' || exit 1
zpty -w -n shell "$2"$'\t'
zpty -r shell seen "*$3*" # returns when it stands there, and not before
Z
completes() { # typed, wanted
  timeout 20 zsh -f type.zsh "$completions" "$1" "$2" >/dev/null || { echo "'$1' and Tab do not give '$2'"; failed=1; }
}

completions=$1/share/completions
completes "protlm tr" "train"
completes "protlm inspect fo" "forward"
completes "protlm train --learn" "--learning-rate"
completes "protlm inspect batch --ste" "--step"
completes "protlm train --dtype bf" "bf16"
completes "protlm train --train pro" "proteins.fasta"
completes "protlm train --dtype=bf" "--dtype=bf16"
completes "protlm train --train=pro" "--train=proteins.fasta"
completes "protlm train --train some.fasta pro" "proteins.fasta"
exit $failed
