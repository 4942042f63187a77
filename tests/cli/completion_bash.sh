#!/usr/bin/env bash
# The bash completion in a real bash. usage: completion_bash.sh SOURCE_DIR DIRECTORY_OF_PROTLM
set -u
PATH=$2:$PATH
cd "$(mktemp -d)" && trap 'rm -rf "$PWD"' EXIT
touch proteins.fasta "my proteins.fasta"
. "$1/share/completions/protlm.bash"
failed=0

complete_line() { # words of the line; the last one is being typed
  COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
  _protlm
}
offers() { # wanted -- words
  wanted=$1; shift 2
  complete_line "$@"
  for reply in "${COMPREPLY[@]}"; do [ "$reply" != "$wanted" ] || return 0; done
  echo "'$*' does not offer '$wanted' but: ${COMPREPLY[*]:-nothing}"; failed=1
}
withholds() { # unwanted -- words
  unwanted=$1; shift 2
  complete_line "$@"
  for reply in "${COMPREPLY[@]}"; do [ "$reply" != "$unwanted" ] || { echo "'$*' offers '$unwanted'"; failed=1; }; done
}

offers train -- protlm t
offers inspect -- protlm ""
offers batch -- protlm inspect ""
withholds batch -- protlm ckpt ""
offers --learning-rate -- protlm train --learn
offers --step -- protlm inspect batch --st
offers --quiet -- protlm eval --q
withholds --mask-nonstandard -- protlm ckpt ls --mask
offers cosine -- protlm train --lr-scheduler-type cos
offers bf16 -- protlm train --dtype = b
offers proteins.fasta -- protlm train --train pro
offers "my proteins.fasta" -- protlm train --train proteins.fasta my
offers proteins.fasta -- protlm inspect tokens --fasta pro
withholds proteins.fasta -- protlm train --learning-rate pro
offers proteins.fasta -- protlm ckpt ls pro
offers --version -- protlm --v
withholds --learning-rate -- protlm eval --learn
withholds --learning-rate -- protlm nothing --learn
offers "$PWD/proteins.fasta" -- "$2/protlm" train --eval "$PWD/pro"
withholds __complete -- protlm ""
withholds __options -- protlm _
exit $failed
